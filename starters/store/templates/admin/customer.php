<p class="crumbs"><a href="/admin/customers">Customers</a> / <?= e($person['id']) ?></p>
<h1><?= e($title) ?></h1>
<div class="split">
    <section>
        <h2>Orders</h2>
        <?= Harbour\View::bare('admin/orders-table', ['orders' => $orders]) ?>
        <h2>Addresses</h2>
        <ul class="addresses">
            <?php foreach ($addresses as $address): ?>
                <li class="panel"><strong><?= e($address['label']) ?></strong><address><?= e($address['recipient']) ?><br><?= e($address['street']) ?><br><?= e($address['postcode']) ?> <?= e($address['city']) ?><br><?= e(country($address['country'])) ?></address></li>
            <?php endforeach ?>
        </ul>
    </section>
    <aside class="panel">
        <h2>Person</h2>
        <dl class="facts">
            <?php foreach (['E-mail' => $person['email'], 'Phone' => $person['phone'], 'Birthday' => day($person['birth_date']), 'IBAN' => $person['iban'] === null ? null : implode(' ', str_split($person['iban'], 4)), 'Last address' => $person['last_ip'], 'Since' => day($person['created_at'])] as $label => $value): ?>
                <dt><?= e($label) ?></dt><dd><?= e($value ?? '–') ?></dd>
            <?php endforeach ?>
        </dl>
        <h2>Profile</h2>
        <dl class="facts">
            <?php foreach ([...$profile, ...$preferences] as $label => $value): ?>
                <dt><?= e(ucfirst(str_replace('_', ' ', (string) $label))) ?></dt><dd><?= e(is_array($value) ? implode(', ', $value) : (is_bool($value) ? ($value ? 'yes' : 'no') : $value)) ?></dd>
            <?php endforeach ?>
        </dl>
    </aside>
</div>
