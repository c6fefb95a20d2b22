<ul class="cards">
    <?php foreach ($products as $product): ?>
        <li>
            <a href="/p/<?= e($product['slug']) ?>">
                <img src="<?= picture($product['image']) ?>" alt="" width="400" height="400" loading="lazy">
                <strong><?= e($product['name']) ?></strong>
                <span class="soft"><?= e($product['tagline']) ?></span>
                <span class="price"><?= e(money($product['price_cents'])) ?><?php if ($product['stock'] === 0): ?> <em>sold out</em><?php elseif ($product['stock'] < 20): ?> <em>only <?= e($product['stock']) ?> left</em><?php endif ?></span>
            </a>
        </li>
    <?php endforeach ?>
</ul>
