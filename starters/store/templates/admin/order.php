<p class="crumbs"><a href="/admin/orders">Orders</a> / <?= e($order['number']) ?></p>
<div class="head">
    <div><h1><?= e($order['number']) ?> <?= Harbour\View::bare('status', ['status' => $order['status']]) ?></h1>
        <p class="soft"><?= e(day($order['placed_at'], 'j F Y, H:i')) ?> · <?php if ($order['customer_id'] !== null): ?><a href="/admin/customers/<?= e($order['customer_id']) ?>"><?= e($order['email']) ?></a><?php else: ?><?= e($order['email']) ?> (guest)<?php endif ?><?= $order['ship_phone'] !== null ? ' · ' . e($order['ship_phone']) : '' ?> · from <?= e($order['ip'] ?: 'unknown') ?></p></div>
    <form class="inline" method="post" action="/admin/orders/<?= e($order['number']) ?>">
        <input type="hidden" name="token" value="<?= e($token) ?>">
        <?php foreach (Harbour\Orders::NEXT[$order['status']] as $next): ?>
            <button class="button<?= $next === 'cancelled' ? ' plain' : '' ?>" name="status" value="<?= e($next) ?>"><?= $next === 'cancelled' ? 'Cancel the order' : 'Mark as ' . e(mb_strtolower(Harbour\Orders::STATUSES[$next])) ?></button>
        <?php endforeach ?>
    </form>
</div>
<?= Harbour\View::bare('shop/order', ['order' => $order]) ?>
