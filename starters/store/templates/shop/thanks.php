<p class="over">Order <?= e($order['number']) ?></p>
<h1>Thank you, <?= e(explode(' ', $order['ship_name'])[0]) ?>.</h1>
<p class="lead">Your order is in our book. A confirmation is on its way to <?= e($order['email']) ?>.</p>
<?= Harbour\View::bare('shop/order', ['order' => $order]) ?>
