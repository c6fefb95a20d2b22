<?php /* The body of an order, for the confirmation, the account and the back office. */ ?>
<div class="split">
    <section class="panel plainer">
        <h2>Goods</h2>
        <ul class="brief">
            <?php foreach ($order['items'] as $item): ?>
                <li><img src="<?= picture($item['image']) ?>" alt="" width="44" height="44"><span><?= e($item['name']) ?><span class="small"> × <?= e($item['quantity']) ?></span></span><span><?= e(money($item['unit_cents'] * $item['quantity'])) ?></span></li>
            <?php endforeach ?>
        </ul>
        <?= Harbour\View::bare('shop/totals', ['totals' => ['subtotal' => $order['subtotal_cents'], 'shipping' => $order['shipping_cents'], 'total' => $order['total_cents']]]) ?>
    </section>
    <aside class="panel">
        <h2>Delivery</h2>
        <address><?= e($order['ship_name']) ?><br><?= e($order['ship_street']) ?><br><?= e($order['ship_postcode']) ?> <?= e($order['ship_city']) ?><br><?= e(country($order['ship_country'])) ?></address>
        <h2>Payment</h2>
        <p><?= $order['payment_method'] === 'card' ? e("{$order['card_brand']} ending in {$order['card_last4']}") : 'Invoice, within fourteen days' ?></p>
        <?php if ($order['note'] !== null): ?><h2>Note</h2><p class="soft">“<?= nl2br(e($order['note'])) ?>”</p><?php endif ?>
    </aside>
</div>
