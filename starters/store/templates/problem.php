<!doctype html>
<html lang="en">
<head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title><?= e($title) ?> · Harbour Coffee</title>
    <link rel="icon" href="/images/mark.svg" type="image/svg+xml">
    <link rel="stylesheet" href="/assets/store.css?v=<?= e(Harbour\Platform::version()) ?>">
</head>
<body class="alone">
<main>
    <img src="/images/mark.svg" alt="" width="56" height="56">
    <h1><?= e($title) ?></h1>
    <p><?= e($text) ?></p>
    <p><a class="button" href="/">Back to the shop</a></p>
    <p class="small"><?= e($status) ?></p>
</main>
</body>
</html>
