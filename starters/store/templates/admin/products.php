<h1>Products</h1>
<div class="scroll"><table class="pictures">
    <thead><tr><th>Product</th><th>Category</th><th>Number</th><th class="right">Stock</th><th class="right">Price</th><th>Shown</th></tr></thead>
    <tbody>
    <?php foreach ($rows as $row): ?>
        <tr><td><img src="<?= picture($row['image']) ?>" alt="" width="40" height="40" loading="lazy"> <a href="/admin/products/<?= e($row['id']) ?>"><?= e($row['name']) ?></a></td><td><?= e($row['category']) ?></td><td><code><?= e($row['sku']) ?></code></td><td class="right"><?= e($row['stock']) ?></td><td class="right"><?= e(money($row['price_cents'])) ?></td><td><?= e($row['active'] ? ($row['featured'] ? 'on the first page' : 'yes') : 'hidden') ?></td></tr>
    <?php endforeach ?>
    </tbody>
</table></div>
