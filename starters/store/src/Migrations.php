<?php

declare(strict_types=1);

namespace Harbour;

/** Runs migrations/NNNN_name.sql in order, each once. Each file must be repeatable, since DDL cannot be rolled back. */
final class Migrations
{
    /** @return list<string> names of those that ran now */
    public static function run(): array
    {
        if ((int) Database::value("SELECT GET_LOCK('store-migrations', 60)") !== 1) {
            throw new Unavailable('Another migration has been running for more than a minute.');
        }
        try {
            Database::run('CREATE TABLE IF NOT EXISTS schema_migrations (
                name VARCHAR(120) NOT NULL PRIMARY KEY, checksum CHAR(64) NOT NULL, applied_at DATETIME NOT NULL
            ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4');
            $known = Database::run('SELECT name, checksum FROM schema_migrations')->fetchAll(\PDO::FETCH_KEY_PAIR);

            return array_values(array_filter(self::files(), static fn (string $file): bool => self::apply($file, $known)));
        } finally {
            Database::run("DO RELEASE_LOCK('store-migrations')");
        }
    }

    /** @return list<string> */
    public static function files(): array
    {
        $files = array_map(basename(...), glob(STORE_ROOT . '/migrations/[0-9][0-9][0-9][0-9]_*.sql') ?: []);
        sort($files);

        return $files;
    }

    /** @param array<string, string> $known */
    private static function apply(string $file, array $known): bool
    {
        $sql = (string) file_get_contents(STORE_ROOT . "/migrations/$file");
        $checksum = hash('sha256', $sql);
        if (isset($known[$file])) {
            if ($known[$file] !== $checksum) {
                fwrite(STDERR, "Warning: $file was changed after it ran. Write a new migration instead.\n");
            }

            return false;
        }
        foreach (preg_split('/;\s*$/m', $sql, -1, PREG_SPLIT_NO_EMPTY) ?: [] as $statement) {
            if (trim($statement) !== '') {
                Database::connection()->exec($statement);
            }
        }
        Database::run('INSERT INTO schema_migrations (name, checksum, applied_at) VALUES (?, ?, UTC_TIMESTAMP())', [$file, $checksum]);

        return true;
    }
}
