<?php /* The frame of every page. */ ?>
<!doctype html>
<html lang="en">
<head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title><?= e($title) ?> · Harbour Coffee</title>
    <link rel="icon" href="/images/mark.svg" type="image/svg+xml">
    <link rel="stylesheet" href="/assets/store.css?v=<?= e(Harbour\Platform::version()) ?>">
    <script src="/assets/store.js?v=<?= e(Harbour\Platform::version()) ?>" defer></script>
</head>
<body>
<a class="skip" href="#main">Skip to content</a>
<header class="top">
    <div class="row">
        <a class="brand" href="/"><img src="/images/mark.svg" alt="" width="30" height="30"> Harbour Coffee</a>
        <form class="search" action="/search" role="search">
            <input type="search" name="q" value="<?= e($query) ?>" placeholder="Search coffee, cups, kettles" aria-label="Search the shop">
        </form>
        <nav class="mine" aria-label="Account and cart">
            <a href="/account"><?= $customer === null ? 'Sign in' : e($customer['first_name']) ?></a>
            <a class="cart" href="/cart">Cart<?php if ($cartCount > 0): ?> <b><?= e($cartCount) ?><span class="hidden"> items</span></b><?php endif ?></a>
        </nav>
    </div>
    <nav class="shelves" aria-label="Categories">
        <?php foreach ($categories as $category): ?>
            <a href="/c/<?= e($category['slug']) ?>"<?= $path === '/c/' . $category['slug'] ? ' aria-current="page"' : '' ?>><?= e($category['name']) ?></a>
        <?php endforeach ?>
    </nav>
</header>
<?php if ($message !== null): ?><p class="message" role="status"><span><?= e($message) ?></span></p><?php endif ?>
<main id="main">
<?= $body ?>
</main>
<footer class="bottom">
    <div class="row">
        <section>
            <h2>Harbour Coffee</h2>
            <p>Roasted at the old customs house, pier 4. Shipped the morning after, on weekdays and on bicycles where we can.</p>
        </section>
        <section>
            <h2>Letters from the roastery</h2>
            <form class="inline" method="post" action="/newsletter">
                <input type="hidden" name="token" value="<?= e($token) ?>">
                <input type="email" name="email" required autocomplete="email" placeholder="name@example.com" aria-label="Your e-mail address">
                <button>Subscribe</button>
            </form>
            <p class="small">One letter a month. No tracking.</p>
        </section>
        <section>
            <h2>Good to know</h2>
            <p>Free delivery from <?= e(money(Harbour\Cart::FREE_SHIPPING_CENTS)) ?>.<br>Thirty days to change your mind.<br>A demo shop: nothing is charged or sent.</p>
        </section>
    </div>
    <div class="row small last">
        <span>© <?= e(gmdate('Y')) ?> Harbour Coffee · <a href="/admin">Back office</a></span>
        <?php if ($ribbon !== null): ?>
            <span class="ribbon ribbon-<?= e($ribbon['type']) ?>" title="This is not the live shop"><i aria-hidden="true"></i><?= e($ribbon['type']) ?> · <?= e($ribbon['branch']) ?></span>
        <?php endif ?>
    </div>
</footer>
</body>
</html>
