<?php

declare(strict_types=1);

namespace Harbour;

/** Answers 200 only when the database and the cache really answer. */
final class Health
{
    public static function show(): Response
    {
        $checks = [
            'database' => self::works(static fn (): bool => (int) Database::value('SELECT 1') === 1),
            'cache' => self::works(static fn (): bool => (bool) Cache::connection()->ping()),
        ];
        $healthy = !in_array('down', $checks, true);
        $body = ['status' => $healthy ? 'ok' : 'failing', ...$checks];

        return new Response(json_encode($body, JSON_THROW_ON_ERROR) . "\n", $healthy ? 200 : 503, 'application/json');
    }

    private static function works(callable $check): string
    {
        try {
            return $check() ? 'ok' : 'down';
        } catch (\Throwable $error) {
            error_log('Health: ' . $error->getMessage());

            return 'down';
        }
    }
}
