<?php

require __DIR__ . '/../vendor/autoload.php';

header('Content-Type: application/json');
echo json_encode([
    'uri' => $_SERVER['REQUEST_URI'],
    'site' => getenv('SITE_NAME'),
    'memory_limit' => ini_get('memory_limit'),
    'version' => Front\Database::connect()->query('SELECT VERSION()')->fetchColumn(),
    'note' => trim(file_get_contents('/app/private/note.txt')),
    'slug_writable' => @file_put_contents('/app/web/new.txt', 'x') !== false,
    'mount_writable' => @file_put_contents('/app/web/files/hello.txt', 'hello') !== false,
]);
