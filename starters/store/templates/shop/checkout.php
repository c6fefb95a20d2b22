<?php
$field = static fn (string $name, string $label, array $more = []): string => Harbour\View::bare('field', ['name' => $name, 'label' => $label, 'form' => $form, 'errors' => $errors, ...$more]);
?>
<h1>Checkout</h1>
<?php if ($errors !== []): ?><p class="message bad" role="alert"><span>Something is missing or does not fit: see the marked fields. Nothing was ordered yet.</span></p><?php endif ?>
<form class="split" method="post" action="/checkout" novalidate>
    <input type="hidden" name="token" value="<?= e($token) ?>">
    <div>
        <fieldset>
            <legend>Contact</legend>
            <?= $field('email', 'E-mail', ['type' => 'email', 'autocomplete' => 'email', 'hint' => 'For the confirmation and nothing else.']) ?>
        </fieldset>
        <fieldset class="grid">
            <legend>Delivery</legend>
            <?= $field('ship_name', 'Name', ['autocomplete' => 'name']) ?>
            <?= $field('ship_street', 'Street and number', ['autocomplete' => 'street-address']) ?>
            <?= $field('ship_postcode', 'Postcode', ['autocomplete' => 'postal-code']) ?>
            <?= $field('ship_city', 'City', ['autocomplete' => 'address-level2']) ?>
            <p class="field"><label for="ship_country">Country</label>
                <select id="ship_country" name="ship_country" autocomplete="country">
                    <?php foreach (countries() as $code => $name): ?><option value="<?= e($code) ?>"<?= ($form['ship_country'] ?? '') === $code ? ' selected' : '' ?>><?= e($name) ?></option><?php endforeach ?>
                </select></p>
            <?= $field('ship_phone', 'Phone', ['type' => 'tel', 'autocomplete' => 'tel', 'required' => false]) ?>
            <p class="field whole"><label for="note">Note for us <span class="small">optional</span></label><textarea id="note" name="note" rows="3" maxlength="1000"><?= e($form['note'] ?? '') ?></textarea></p>
        </fieldset>
        <fieldset>
            <legend>Payment</legend>
            <div class="choices">
                <label class="choice"><input type="radio" name="payment_method" value="card"<?= ($form['payment_method'] ?? '') !== 'invoice' ? ' checked' : '' ?>> <span><strong>Card</strong><br><span class="small">Paid at once</span></span></label>
                <label class="choice"><input type="radio" name="payment_method" value="invoice"<?= ($form['payment_method'] ?? '') === 'invoice' ? ' checked' : '' ?>> <span><strong>Invoice</strong><br><span class="small">Within fourteen days</span></span></label>
            </div>
            <?= $field('card_number', 'Card number', ['autocomplete' => 'cc-number', 'hint' => 'A demo shop: nothing is charged. 4242 4242 4242 4242 works.']) ?>
        </fieldset>
    </div>
    <aside class="panel">
        <h2>Your order</h2>
        <ul class="brief">
            <?php foreach ($lines as $line): ?>
                <li><img src="<?= picture($line['image']) ?>" alt="" width="44" height="44"><span><?= e($line['name']) ?><span class="small"> × <?= e($line['quantity']) ?></span></span><span><?= e(money($line['sum_cents'])) ?></span></li>
            <?php endforeach ?>
        </ul>
        <?= Harbour\View::bare('shop/totals', ['totals' => $totals]) ?>
        <button class="button full">Place the order</button>
        <p class="small">Thirty days to change your mind.</p>
    </aside>
</form>
