<?php

declare(strict_types=1);

namespace Harbour;

final class View
{
    /** @param array<string, mixed> $values */
    public static function bare(string $template, array $values = []): string
    {
        return (static function (string $__file, array $__values): string {
            extract($__values, EXTR_SKIP);
            ob_start();
            try {
                require $__file;

                return (string) ob_get_clean();
            } catch (\Throwable $error) {
                ob_end_clean();
                throw $error;
            }
        })(STORE_ROOT . "/templates/$template.php", $values);
    }
}
