<?php

declare(strict_types=1);

namespace Harbour;

use PDO;
use PDOException;
use PDOStatement;

/** One PDO connection per process; every value goes in as a bound parameter. */
final class Database
{
    private static ?PDO $connection = null;

    public static function connection(): PDO
    {
        return self::$connection ??= self::connect();
    }

    /** Drops the connection: for long-running commands that outlive a database restart. */
    public static function forget(): void
    {
        self::$connection = null;
    }

    private static function connect(): PDO
    {
        $entry = Platform::relationship('database');
        $dsn = sprintf(
            'mysql:host=%s;port=%d;dbname=%s;charset=utf8mb4',
            $entry['host'],
            $entry['port'],
            $entry['path'],
        );
        try {
            return new PDO($dsn, $entry['username'], (string) ($entry['password'] ?? ''), [
                PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
                PDO::ATTR_DEFAULT_FETCH_MODE => PDO::FETCH_ASSOC,
                PDO::ATTR_EMULATE_PREPARES => false,
                PDO::ATTR_TIMEOUT => 5,
                PDO::MYSQL_ATTR_INIT_COMMAND => "SET time_zone = '+00:00'",
            ]);
        } catch (PDOException $error) {
            throw new Unavailable('The database does not answer: ' . $error->getMessage(), 0, $error);
        }
    }

    /** @param array<int|string, mixed> $values */
    public static function run(string $sql, array $values = []): PDOStatement
    {
        $statement = self::connection()->prepare($sql);
        $statement->execute($values);

        return $statement;
    }

    /**
     * @param array<int|string, mixed> $values
     * @return list<array<string, mixed>>
     */
    public static function rows(string $sql, array $values = []): array
    {
        return self::run($sql, $values)->fetchAll();
    }

    /**
     * @param array<int|string, mixed> $values
     * @return array<string, mixed>|null
     */
    public static function row(string $sql, array $values = []): ?array
    {
        return self::run($sql, $values)->fetch() ?: null;
    }

    /** @param array<int|string, mixed> $values */
    public static function value(string $sql, array $values = []): mixed
    {
        return self::run($sql, $values)->fetchColumn();
    }

    /** @param array<string, mixed> $row Columns come from code, never from a visitor. */
    public static function insert(string $table, array $row): int
    {
        $columns = implode(', ', array_keys($row));
        $marks = implode(', ', array_fill(0, count($row), '?'));
        self::run("INSERT INTO $table ($columns) VALUES ($marks)", array_values($row));

        return (int) self::connection()->lastInsertId();
    }

    /** @param array<string, mixed> $row */
    public static function update(string $table, int $id, array $row): void
    {
        $pairs = implode(', ', array_map(static fn (string $column): string => "$column = ?", array_keys($row)));
        self::run("UPDATE $table SET $pairs WHERE id = ?", [...array_values($row), $id]);
    }

    /**
     * @template T
     * @param callable(): T $work
     * @return T
     */
    public static function transaction(callable $work): mixed
    {
        $connection = self::connection();
        $connection->beginTransaction();
        try {
            $result = $work();
            $connection->commit();

            return $result;
        } catch (\Throwable $error) {
            if ($connection->inTransaction()) {
                $connection->rollBack();
            }
            throw $error;
        }
    }
}
