<?php

declare(strict_types=1);

require dirname(__DIR__) . '/src/bootstrap.php';

if (PHP_SAPI === 'cli-server' && Harbour\DevelopmentServer::isStaticFile()) {
    return false;
}

(new Harbour\App())->answer();
