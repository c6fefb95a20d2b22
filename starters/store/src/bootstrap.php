<?php

declare(strict_types=1);

require __DIR__ . '/functions.php';

date_default_timezone_set('UTC');
mb_internal_encoding('UTF-8');

define('STORE_ROOT', dirname(__DIR__));

spl_autoload_register(static function (string $class): void {
    if (str_starts_with($class, 'Harbour\\')) {
        require STORE_ROOT . '/src/' . str_replace('\\', '/', substr($class, 8)) . '.php';
    }
});

// A warning is a mistake: let it end the request with a page, not with half a page.
set_error_handler(static function (int $level, string $message, string $file, int $line): bool {
    if (!(error_reporting() & $level)) {
        return false;
    }
    throw new ErrorException($message, 0, $level, $file, $line);
});
