<span class="status status-<?= e($status) ?>"><i aria-hidden="true"></i><?= e(Harbour\Orders::STATUSES[$status]) ?></span>
