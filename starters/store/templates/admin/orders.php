<div class="head"><div><h1>Orders</h1><p class="soft"><?= e(number_format($total)) ?> in this list</p></div>
    <form class="inline"><input type="search" name="q" value="<?= e($text) ?>" placeholder="Number, e-mail or name" aria-label="Search orders"><?php if ($status !== ''): ?><input type="hidden" name="status" value="<?= e($status) ?>"><?php endif ?><button>Search</button></form></div>
<nav class="tabs" aria-label="Status">
    <?php foreach (['' => 'All', ...Harbour\Orders::STATUSES] as $value => $label): ?>
        <a href="<?= e(link_with(['status' => $value, 'page' => '']) ?: '?') ?>"<?= $status === $value ? ' aria-current="true"' : '' ?>><?= e($label) ?></a>
    <?php endforeach ?>
</nav>
<?= Harbour\View::bare('admin/orders-table', ['orders' => $rows]) ?>
<?= Harbour\View::bare('pager', ['page' => $page, 'pages' => $pages]) ?>
