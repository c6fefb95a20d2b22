<?php $field = static fn (string $name, string $label, array $form, array $more = []): string => Harbour\View::bare('field', ['name' => $name, 'label' => $label, 'form' => $form, 'errors' => [], ...$more]); ?>
<div class="head">
    <div><h1>Hello, <?= e($customer['first_name']) ?></h1><p class="soft"><?= e($customer['email']) ?> · with us since <?= e(day($customer['created_at'], 'F Y')) ?></p></div>
    <form method="post" action="/account/sign-out"><input type="hidden" name="token" value="<?= e($token) ?>"><button class="button plain">Sign out</button></form>
</div>
<div class="split">
    <section>
        <h2>Your orders</h2>
        <?php if ($orders === []): ?>
            <p class="empty">No orders yet. Your first one will be listed here. <a href="/c/coffee">See the coffees</a></p>
        <?php else: ?>
            <div class="scroll"><table>
                <thead><tr><th>Order</th><th>Placed</th><th>Status</th><th class="right">Total</th></tr></thead>
                <tbody>
                <?php foreach ($orders as $order): ?>
                    <tr><td><a href="/account/orders/<?= e($order['number']) ?>"><?= e($order['number']) ?></a></td><td><?= e(day($order['placed_at'])) ?></td><td><?= Harbour\View::bare('status', ['status' => $order['status']]) ?></td><td class="right"><?= e(money($order['total_cents'])) ?></td></tr>
                <?php endforeach ?>
                </tbody>
            </table></div>
            <?= Harbour\View::bare('pager', ['page' => $page, 'pages' => $pages]) ?>
        <?php endif ?>

        <h2 id="addresses">Address book</h2>
        <ul class="addresses">
            <?php foreach ($addresses as $address): ?>
                <li class="panel">
                    <strong><?= e($address['label']) ?></strong>
                    <address><?= e($address['recipient']) ?><br><?= e($address['street']) ?><br><?= e($address['postcode']) ?> <?= e($address['city']) ?><br><?= e(country($address['country'])) ?></address>
                    <form method="post" action="/account/addresses/remove"><input type="hidden" name="token" value="<?= e($token) ?>"><button class="link" name="address" value="<?= e($address['id']) ?>" aria-label="Remove the address <?= e($address['label']) ?>">Remove</button></form>
                </li>
            <?php endforeach ?>
        </ul>
        <details<?= $addresses === [] ? ' open' : '' ?>>
            <summary>Add an address</summary>
            <form class="grid" method="post" action="/account/addresses">
                <input type="hidden" name="token" value="<?= e($token) ?>">
                <?= $field('label', 'Label', [], ['hint' => 'Home, work, grandmother']) ?>
                <?= $field('recipient', 'Name', ['recipient' => $customer['first_name'] . ' ' . $customer['last_name']]) ?>
                <?= $field('street', 'Street and number', []) ?>
                <?= $field('postcode', 'Postcode', []) ?>
                <?= $field('city', 'City', []) ?>
                <p class="field"><label for="country">Country</label><select id="country" name="country"><?php foreach (countries() as $code => $name): ?><option value="<?= e($code) ?>"><?= e($name) ?></option><?php endforeach ?></select></p>
                <p class="whole"><button class="button">Save the address</button></p>
            </form>
        </details>
    </section>
    <aside class="panel">
        <h2>Your details</h2>
        <form method="post" action="/account/profile">
            <input type="hidden" name="token" value="<?= e($token) ?>">
            <?= $field('first_name', 'First name', $customer, ['autocomplete' => 'given-name']) ?>
            <?= $field('last_name', 'Last name', $customer, ['autocomplete' => 'family-name']) ?>
            <?= $field('phone', 'Phone', $customer, ['type' => 'tel', 'autocomplete' => 'tel', 'required' => false]) ?>
            <?= $field('birth_date', 'Birthday', $customer, ['type' => 'date', 'autocomplete' => 'bday', 'required' => false, 'hint' => 'There may be biscuits.']) ?>
            <button class="button full">Save</button>
        </form>
    </aside>
</div>
