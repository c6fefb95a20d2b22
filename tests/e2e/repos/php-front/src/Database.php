<?php

namespace Front;

final class Database
{
    public static function connect(): \PDO
    {
        $all = json_decode(base64_decode(getenv('PLATFORM_RELATIONSHIPS')), true);
        $given = $all['database'][0];
        $dsn = sprintf('mysql:host=%s;port=%d;dbname=%s', $given['host'], $given['port'], $given['path']);

        return new \PDO($dsn, $given['username'], $given['password']);
    }
}
