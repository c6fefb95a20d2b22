<div class="head">
    <div>
        <h1><?= e($title) ?></h1>
        <?php if ($intro !== null): ?><p class="soft"><?= e($intro) ?></p><?php endif ?>
    </div>
    <?php if (count($products) > 1): ?>
        <form class="inline" data-auto>
            <?php if ($search !== null): ?><input type="hidden" name="q" value="<?= e($search) ?>"><?php endif ?>
            <label for="order" class="small">Order</label>
            <select name="order" id="order">
                <?php foreach (Harbour\Catalogue::ORDERS as $value => $label): ?>
                    <option value="<?= e($value) ?>"<?= $order === $value ? ' selected' : '' ?>><?= e($label) ?></option>
                <?php endforeach ?>
            </select>
            <button>Show</button>
        </form>
    <?php endif ?>
</div>
<?php if ($products === [] && ($search === null || $search !== '')): ?>
    <p class="empty">Nothing here fits “<?= e($search ?? $title) ?>”. Try a shorter word, or look along <a href="/c/coffee">the coffees</a>.</p>
<?php endif ?>
<?= Harbour\View::bare('shop/cards', ['products' => $products]) ?>
