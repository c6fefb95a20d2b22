<?php
$most = max(1, ...array_values($days));
$at = 0;
?>
<h1>Overview</h1>
<ul class="figures">
    <?php foreach ($figures as $figure): ?>
        <li class="panel"><span class="soft"><?= e($figure['label']) ?></span><strong><?= e($figure['value']) ?></strong><span class="small"><?= e($figure['note']) ?></span></li>
    <?php endforeach ?>
</ul>
<section class="panel">
    <div class="head"><h2>Revenue by day</h2><span class="small">30 days, best day <?= e(money($most)) ?></span></div>
    <svg class="chart" viewBox="0 0 600 120" preserveAspectRatio="none" role="img" aria-label="Revenue of the last 30 days">
        <?php foreach ($days as $date => $cents): $height = max(1, (int) round($cents / $most * 114)); ?>
            <rect x="<?= $at++ * 20 + 4 ?>" y="<?= 120 - $height ?>" width="12" height="<?= $height ?>" rx="2"><title><?= e(day($date)) ?>: <?= e(money($cents)) ?></title></rect>
        <?php endforeach ?>
    </svg>
    <div class="axis small"><span><?= e(day(array_key_first($days), 'j M')) ?></span><span><?= e(day(array_key_last($days), 'j M')) ?></span></div>
</section>
<div class="split">
    <section>
        <div class="head"><h2>Latest orders</h2><a href="/admin/orders">All orders</a></div>
        <?= Harbour\View::bare('admin/orders-table', ['orders' => $orders]) ?>
    </section>
    <aside class="panel">
        <h2>Lowest stock</h2>
        <ul class="brief">
            <?php foreach ($low as $product): ?>
                <li><img src="<?= picture($product['image']) ?>" alt="" width="44" height="44"><a href="/admin/products/<?= e($product['id']) ?>"><?= e($product['name']) ?></a><span><?= e($product['stock']) ?></span></li>
            <?php endforeach ?>
        </ul>
    </aside>
</div>
