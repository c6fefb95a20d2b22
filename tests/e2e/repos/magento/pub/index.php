<?php

$relationships = json_decode(base64_decode(getenv('MAGENTO_CLOUD_RELATIONSHIPS')), true);
$database = $relationships['database'][0];
$pdo = new PDO("mysql:host={$database['host']};dbname={$database['path']}", $database['username'], $database['password']);
$redis = fsockopen($relationships['redis'][0]['host'], $relationships['redis'][0]['port']);

header('Content-Type: application/json');
echo json_encode([
    'uri' => $_SERVER['REQUEST_URI'],
    'https' => $_SERVER['HTTPS'] ?? '',
    'names' => array_values(array_filter(array_keys(getenv()), fn ($name) => str_starts_with($name, 'MAGENTO_CLOUD_'))),
    'same' => getenv('MAGENTO_CLOUD_ROUTES') === getenv('PLATFORM_ROUTES'),
    'routes' => array_keys(json_decode(base64_decode(getenv('MAGENTO_CLOUD_ROUTES')), true)),
    'version' => $pdo->query('SELECT VERSION()')->fetchColumn(),
    'redis' => $redis !== false,
    'build' => json_decode(file_get_contents('/app/build.json')),
    'etc' => is_array(require '/app/app/etc/env.php'),
    'channel' => getenv('CONFIG__STORES__DEFAULT__PAYMENT__BRAINTREE__CHANNEL'),
]);
