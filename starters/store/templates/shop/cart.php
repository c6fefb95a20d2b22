<h1>Your cart</h1>
<?php if ($lines === []): ?>
    <p class="empty">Nothing in here yet. <a href="/c/coffee">The coffees</a> are a good place to begin.</p>
<?php else: ?>
    <div class="split">
        <form method="post" action="/cart" data-auto>
            <input type="hidden" name="token" value="<?= e($token) ?>">
            <ul class="lines">
                <?php foreach ($lines as $line): ?>
                    <li>
                        <img src="<?= picture($line['image']) ?>" alt="" width="88" height="88">
                        <div>
                            <a href="/p/<?= e($line['slug']) ?>"><strong><?= e($line['name']) ?></strong></a>
                            <span class="soft"><?= e(money($line['price_cents'])) ?> each</span>
                            <?php if ($line['stock'] < $line['quantity']): ?><span class="wrong">Only <?= e($line['stock']) ?> left</span><?php endif ?>
                        </div>
                        <input type="number" name="quantity[<?= e($line['id']) ?>]" value="<?= e($line['quantity']) ?>" min="0" max="20" aria-label="Quantity of <?= e($line['name']) ?>">
                        <span class="price"><?= e(money($line['sum_cents'])) ?></span>
                        <button class="link" name="remove" value="<?= e($line['id']) ?>" aria-label="Remove <?= e($line['name']) ?>">Remove</button>
                    </li>
                <?php endforeach ?>
            </ul>
            <button class="button plain">Update the cart</button>
        </form>
        <aside class="panel">
            <h2>Summary</h2>
            <?= Harbour\View::bare('shop/totals', ['totals' => $totals]) ?>
            <?php if ($totals['shipping'] > 0): ?><p class="small">Delivery is free from <?= e(money(Harbour\Cart::FREE_SHIPPING_CENTS)) ?>: <?= e(money(Harbour\Cart::FREE_SHIPPING_CENTS - $totals['subtotal'])) ?> to go.</p><?php endif ?>
            <a class="button full" href="/checkout">To checkout</a>
        </aside>
    </div>
<?php endif ?>
