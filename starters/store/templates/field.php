<?php
// One labelled input. Values: name, label, form, errors; optionally type, autocomplete, hint, required.
$error = $errors[$name] ?? null;
?>
<p class="field<?= $error !== null ? ' bad' : '' ?> field-<?= e($name) ?>">
    <label for="<?= e($name) ?>"><?= e($label) ?><?php if (!($required ?? true)): ?> <span class="small">optional</span><?php endif ?></label>
    <input id="<?= e($name) ?>" name="<?= e($name) ?>" type="<?= e($type ?? 'text') ?>" value="<?= ($type ?? '') === 'password' ? '' : e($form[$name] ?? '') ?>"<?= isset($autocomplete) ? ' autocomplete="' . e($autocomplete) . '"' : '' ?><?= ($required ?? true) ? ' required' : '' ?><?= $error !== null || isset($hint) ? ' aria-describedby="' . e($name) . '-hint"' : '' ?>>
    <?php if ($error !== null): ?><span class="wrong" id="<?= e($name) ?>-hint"><?= e($error) ?></span><?php elseif (isset($hint)): ?><span class="small" id="<?= e($name) ?>-hint"><?= e($hint) ?></span><?php endif ?>
</p>
