<?php
$form = [...$product, 'price' => number_format($product['price_cents'] / 100, 2, '.', '')];
$field = static fn (string $name, string $label, array $more = []): string => Harbour\View::bare('field', ['name' => $name, 'label' => $label, 'form' => $form, 'errors' => [], ...$more]);
?>
<p class="crumbs"><a href="/admin/products">Products</a> / <?= e($product['sku']) ?></p>
<div class="head"><h1><?= e($product['name']) ?></h1><a href="/p/<?= e($product['slug']) ?>">See it in the shop</a></div>
<form class="split" method="post" action="/admin/products/<?= e($product['id']) ?>" enctype="multipart/form-data">
    <input type="hidden" name="token" value="<?= e($token) ?>">
    <div class="grid">
        <?= $field('name', 'Name') ?>
        <?= $field('tagline', 'Tagline') ?>
        <p class="field whole"><label for="description">Description</label><textarea id="description" name="description" rows="6" required><?= e($product['description']) ?></textarea></p>
        <?= $field('price', 'Price in euros') ?>
        <?= $field('stock', 'In stock') ?>
        <p class="whole checks"><label><input type="checkbox" name="active" value="1"<?= $product['active'] ? ' checked' : '' ?>> Shown in the shop</label> <label><input type="checkbox" name="featured" value="1"<?= $product['featured'] ? ' checked' : '' ?>> On the first page</label></p>
        <p class="whole"><button class="button">Save the product</button></p>
    </div>
    <aside class="panel">
        <h2>Picture</h2>
        <img class="preview" src="<?= picture($product['image']) ?>" alt="" width="400" height="400">
        <p class="field"><label for="picture">Replace it</label><input id="picture" type="file" name="picture" accept="image/jpeg,image/png,image/webp"><span class="small">JPEG, PNG or WebP, square, up to 8 MB.</span></p>
    </aside>
</form>
