<div class="office">
    <nav aria-label="Back office">
        <?php foreach (['/admin' => 'Overview', '/admin/orders' => 'Orders', '/admin/customers' => 'Customers', '/admin/products' => 'Products'] as $href => $label): ?>
            <a href="<?= e($href) ?>"<?= $path === $href || ($href !== '/admin' && str_starts_with($path, "$href/")) ? ' aria-current="page"' : '' ?>><?= e($label) ?></a>
        <?php endforeach ?>
        <form method="post" action="/admin/sign-out"><input type="hidden" name="token" value="<?= e($token) ?>"><button class="link">Sign out</button></form>
    </nav>
    <div><?= $inner ?></div>
</div>
