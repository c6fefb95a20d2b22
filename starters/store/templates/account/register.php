<?php $field = static fn (string $name, string $label, array $more): string => Harbour\View::bare('field', ['name' => $name, 'label' => $label, 'form' => $form, 'errors' => $errors, ...$more]); ?>
<form class="panel narrow" method="post" action="/account/register" novalidate>
    <h1>Create an account</h1>
    <p class="soft">Your orders and addresses in one place, and a faster checkout.</p>
    <input type="hidden" name="token" value="<?= e($token) ?>">
    <?= $field('first_name', 'First name', ['autocomplete' => 'given-name']) ?>
    <?= $field('last_name', 'Last name', ['autocomplete' => 'family-name']) ?>
    <?= $field('email', 'E-mail', ['type' => 'email', 'autocomplete' => 'username']) ?>
    <?= $field('password', 'Password', ['type' => 'password', 'autocomplete' => 'new-password', 'hint' => 'At least ten characters.']) ?>
    <button class="button full">Create the account</button>
    <p class="small">Been here before? <a href="/account/sign-in">Sign in</a>.</p>
</form>
