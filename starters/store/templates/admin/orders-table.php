<div class="scroll"><table>
    <thead><tr><th>Order</th><th>Placed</th><th>For</th><th>To</th><th>Status</th><th class="right">Total</th></tr></thead>
    <tbody>
    <?php foreach ($orders as $order): ?>
        <tr>
            <td><a href="/admin/orders/<?= e($order['number']) ?>"><?= e($order['number']) ?></a></td>
            <td><?= e(day($order['placed_at'], 'j M Y, H:i')) ?></td>
            <td><?= e($order['ship_name']) ?></td>
            <td><?= e($order['ship_city']) ?>, <?= e($order['ship_country']) ?></td>
            <td><?= Harbour\View::bare('status', ['status' => $order['status']]) ?></td>
            <td class="right"><?= e(money($order['total_cents'])) ?></td>
        </tr>
    <?php endforeach ?>
    </tbody>
</table></div>
<?php if ($orders === []): ?><p class="empty">No orders here.</p><?php endif ?>
