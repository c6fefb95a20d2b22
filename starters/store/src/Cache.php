<?php

declare(strict_types=1);

namespace Harbour;

use Redis;
use RedisException;

/** Redis: sessions and carts, and a cache of the catalogue that the shop can also live without. */
final class Cache
{
    private const CATALOGUE_SECONDS = 300;

    private static ?Redis $connection = null;

    public static function connection(): Redis
    {
        return self::$connection ??= self::connect();
    }

    private static function connect(): Redis
    {
        $entry = Platform::relationship('cache');
        $redis = new Redis();
        try {
            if (!$redis->connect($entry['host'], (int) $entry['port'], 2.0)) {
                throw new RedisException('no connection');
            }
            $password = (string) ($entry['password'] ?? '');
            $user = (string) ($entry['username'] ?? '');
            if ($password !== '') {
                $redis->auth($user !== '' && $user !== 'default' ? [$user, $password] : $password);
            }
            $redis->ping();
        } catch (RedisException $error) {
            throw new Unavailable('The cache does not answer: ' . $error->getMessage(), 0, $error);
        }

        return $redis;
    }

    /**
     * Keeps what $load returns for a few minutes. A cache that is away costs speed, not the page.
     *
     * @template T of array
     * @param callable(): T $load
     * @return T
     */
    public static function remember(string $key, callable $load): array
    {
        $key = 'catalogue:' . Platform::version() . ':' . $key;
        try {
            $stored = self::connection()->get($key);
            if (is_string($stored)) {
                return json_decode($stored, true, 64, JSON_THROW_ON_ERROR);
            }
            $value = $load();
            self::connection()->setex($key, self::CATALOGUE_SECONDS, json_encode($value, JSON_THROW_ON_ERROR));

            return $value;
        } catch (RedisException | Unavailable) {
            return $load();
        }
    }

    /** Forgets the catalogue, and only that: nobody loses a session or a cart. */
    public static function forgetCatalogue(): int
    {
        $redis = self::connection();
        $redis->setOption(Redis::OPT_SCAN, Redis::SCAN_RETRY);
        $cursor = null;
        $removed = 0;
        while (($keys = $redis->scan($cursor, 'catalogue:*', 500)) !== false) {
            $removed += $keys === [] ? 0 : (int) $redis->unlink($keys);
        }

        return $removed;
    }

    /** True while fewer than $limit attempts were made in the last $seconds. Counts this one. */
    public static function allows(string $what, int $limit, int $seconds): bool
    {
        $key = 'throttle:' . hash('sha256', $what);
        $count = self::connection()->incr($key);
        if ($count === 1) {
            self::connection()->expire($key, $seconds);
        }

        return $count <= $limit;
    }

    /** Starts the count anew: who signed in was no attacker. */
    public static function forgive(string $what): void
    {
        self::connection()->del('throttle:' . hash('sha256', $what));
    }
}
