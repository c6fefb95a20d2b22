<p class="crumbs"><a href="/account">Your account</a> / Orders</p>
<div class="head"><div><h1>Order <?= e($order['number']) ?></h1><p class="soft">Placed on <?= e(day($order['placed_at'])) ?></p></div><?= Harbour\View::bare('status', ['status' => $order['status']]) ?></div>
<?= Harbour\View::bare('shop/order', ['order' => $order]) ?>
