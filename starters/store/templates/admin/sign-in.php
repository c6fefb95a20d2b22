<?php $field = static fn (string $name, string $label, array $more): string => Harbour\View::bare('field', ['name' => $name, 'label' => $label, 'form' => $form, 'errors' => $errors, ...$more]); ?>
<form class="panel narrow" method="post" action="/admin/sign-in">
    <h1>Back office</h1>
    <p class="soft">For the people behind the counter.</p>
    <?php if (isset($errors['form'])): ?><p class="wrong" role="alert"><?= e($errors['form']) ?></p><?php endif ?>
    <input type="hidden" name="token" value="<?= e($token) ?>">
    <?= $field('email', 'E-mail', ['type' => 'email', 'autocomplete' => 'username']) ?>
    <?= $field('password', 'Password', ['type' => 'password', 'autocomplete' => 'current-password']) ?>
    <button class="button full">Sign in</button>
    <p class="small">Password lost? <code>php bin/store admin-password</code> sets a new one.</p>
</form>
