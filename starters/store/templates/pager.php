<?php if ($pages > 1): ?>
    <nav class="pager" aria-label="Pages">
        <?php if ($page > 1): ?><a href="<?= e(link_with(['page' => $page - 1])) ?>">← Newer</a><?php else: ?><span></span><?php endif ?>
        <span class="small">Page <?= e(number_format($page)) ?> of <?= e(number_format($pages)) ?></span>
        <?php if ($page < $pages): ?><a href="<?= e(link_with(['page' => $page + 1])) ?>">Older →</a><?php else: ?><span></span><?php endif ?>
    </nav>
<?php endif ?>
