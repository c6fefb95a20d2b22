<div class="head"><div><h1>Customers</h1><p class="soft"><?= e(number_format($total)) ?> in this list</p></div>
    <form class="inline"><input type="search" name="q" value="<?= e($text) ?>" placeholder="Name or e-mail begins with" aria-label="Search customers"><button>Search</button></form></div>
<div class="scroll"><table>
    <thead><tr><th>Name</th><th>E-mail</th><th>Phone</th><th>Since</th><th>Last signed in</th></tr></thead>
    <tbody>
    <?php foreach ($rows as $row): ?>
        <tr><td><a href="/admin/customers/<?= e($row['id']) ?>"><?= e($row['first_name'] . ' ' . $row['last_name']) ?></a></td><td><?= e($row['email']) ?></td><td><?= e($row['phone'] ?? '–') ?></td><td><?= e(day($row['created_at'], 'j M Y')) ?></td><td><?= e(day($row['last_login_at'], 'j M Y')) ?></td></tr>
    <?php endforeach ?>
    </tbody>
</table></div>
<?php if ($rows === []): ?><p class="empty">Nobody fits. Try the beginning of a first name, last name or e-mail.</p><?php endif ?>
<?= Harbour\View::bare('pager', ['page' => $page, 'pages' => $pages]) ?>
