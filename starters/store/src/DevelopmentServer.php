<?php

declare(strict_types=1);

namespace Harbour;

/** What nginx does on the platform, for `php -S localhost:8080 -t public public/index.php`. */
final class DevelopmentServer
{
    public static function isStaticFile(): bool
    {
        $path = (new Request())->path;
        if (preg_match('#^/uploads/([a-z0-9-]+\.(?:jpg|png|webp))$#D', $path, $match) === 1) {
            $file = STORE_ROOT . '/var/uploads/' . $match[1];
            if (is_file($file)) {
                header('Content-Type: ' . mime_content_type($file));
                readfile($file);
                exit;
            }
        }

        return $path !== '/' && !str_contains($path, '..') && is_file(STORE_ROOT . '/public' . $path);
    }
}
