<p class="crumbs"><a href="/">Shop</a> / <a href="/c/<?= e($product['category_slug']) ?>"><?= e($product['category_name']) ?></a></p>
<article class="product">
    <img src="<?= picture($product['image']) ?>" alt="<?= e($product['name']) ?>" width="400" height="400">
    <div>
        <h1><?= e($product['name']) ?></h1>
        <p class="lead"><?= e($product['tagline']) ?></p>
        <p class="price big"><?= e(money($product['price_cents'])) ?></p>
        <?php if ($product['stock'] > 0): ?>
            <form class="buy" method="post" action="/cart/add">
                <input type="hidden" name="token" value="<?= e($token) ?>">
                <input type="hidden" name="product" value="<?= e($product['id']) ?>">
                <label class="hidden" for="quantity">Quantity</label>
                <input id="quantity" type="number" name="quantity" value="1" min="1" max="<?= e(min(20, $product['stock'])) ?>">
                <button class="button">Put in the cart</button>
            </form>
            <p class="small"><?= $product['stock'] < 20 ? 'Only ' . e($product['stock']) . ' left' : 'In stock' ?> · with you in two to four days</p>
        <?php else: ?>
            <p class="empty">Sold out for now. The next batch is on its way.</p>
        <?php endif ?>
        <p><?= nl2br(e($product['description'])) ?></p>
        <dl class="facts">
            <?php foreach ($product['details'] as $label => $text): ?>
                <dt><?= e($label) ?></dt><dd><?= e($text) ?></dd>
            <?php endforeach ?>
            <dt>Number</dt><dd><?= e($product['sku']) ?></dd>
        </dl>
    </div>
</article>
<?php if ($product['related'] !== []): ?>
    <section>
        <div class="head"><h2>From the same shelf</h2></div>
        <?= Harbour\View::bare('shop/cards', ['products' => $product['related']]) ?>
    </section>
<?php endif ?>
