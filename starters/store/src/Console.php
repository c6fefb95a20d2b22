<?php

declare(strict_types=1);

namespace Harbour;

/** The commands of bin/store. */
final class Console
{
    private const HELP = <<<'TEXT'
        Usage: php bin/store COMMAND

          migrate                 run the migrations that have not run yet
          seed [--customers N] [--orders N] [--seed N] [--until YYYY-MM-DD] [--if-empty]
                                  fill the catalogue and add people and orders; the same numbers give the same data
          admin-password [EMAIL]  set a new password: from STORE_ADMIN_PASSWORD, or a random one that is printed
          cache:clear             forget the cached catalogue (no session or cart is lost)
          sweep                   drop carts untouched for a day, cancel orders unpaid for two weeks
          mailer [--once]         send the mail in the outbox until told to stop
          check                   parse every PHP file
          pictures                draw the product pictures in public/images/products again

        TEXT;

    /** @param list<string> $arguments */
    public static function run(array $arguments): int
    {
        $command = array_shift($arguments) ?? 'help';
        try {
            return match ($command) {
                'migrate' => self::migrate(),
                'seed' => self::seed($arguments),
                'admin-password' => self::adminPassword($arguments[0] ?? Seeder::ADMIN),
                'cache:clear' => self::say('Forgot ' . Cache::forgetCatalogue() . ' cached parts of the catalogue.'),
                'sweep' => self::sweep(),
                'mailer' => self::mailer(in_array('--once', $arguments, true)),
                'check' => self::check(),
                'pictures' => self::say('Drew ' . Pictures::drawAll() . ' pictures.'),
                'help', '--help', '-h' => self::say(rtrim(self::HELP)),
                default => self::fail("There is no command \"$command\".\n\n" . self::HELP, 2),
            };
        } catch (Unavailable | \InvalidArgumentException | \PDOException | \RedisException $error) {
            return self::fail($error->getMessage(), 1);
        }
    }

    private static function migrate(): int
    {
        $done = Migrations::run();
        foreach ($done as $name) {
            self::say("Migrated $name");
        }

        return self::say($done === [] ? 'The database is up to date.' : 'Ran ' . count($done) . ' migrations.');
    }

    /** @param list<string> $arguments */
    private static function seed(array $arguments): int
    {
        $options = ['customers' => 200, 'orders' => 600, 'seed' => 1, 'until' => gmdate('Y-m-d')];
        $ifEmpty = false;
        while (($argument = array_shift($arguments)) !== null) {
            if ($argument === '--if-empty') {
                $ifEmpty = true;
                continue;
            }
            [$name, $value] = [...explode('=', $argument, 2), null];
            $name = substr($name, 2);
            if (!str_starts_with($argument, '--') || !isset($options[$name])) {
                throw new \InvalidArgumentException("seed does not know \"$argument\".");
            }
            $value ??= array_shift($arguments) ?? '';
            $fits = $name === 'until' ? '/^\d{4}-\d\d-\d\d$/D' : '/^\d{1,8}$/D';
            if (preg_match($fits, $value) !== 1) {
                throw new \InvalidArgumentException("--$name needs " . ($name === 'until' ? 'a date like 2025-03-14' : 'a whole number') . ", not \"$value\".");
            }
            $options[$name] = $name === 'until' ? $value : (int) $value;
        }
        if ($ifEmpty && (int) Database::value('SELECT COUNT(*) FROM products') > 0) {
            self::say('The store has products already: nothing seeded.');

            return self::ensureAdmin();
        }
        $started = microtime(true);
        $counts = (new Seeder($options['seed'], new \DateTimeImmutable($options['until'])))->run($options['customers'], $options['orders']);
        foreach ($counts as $what => $count) {
            self::say(sprintf('%8s %s', number_format($count), $what));
        }
        self::say(sprintf('Seeded in %.1f s. Every seeded customer signs in with "%s".', microtime(true) - $started, Seeder::CUSTOMER_PASSWORD));

        return self::ensureAdmin();
    }

    private static function ensureAdmin(): int
    {
        return Database::row('SELECT id FROM admins LIMIT 1') === null ? self::adminPassword(Seeder::ADMIN) : 0;
    }

    private static function adminPassword(string $email): int
    {
        $given = (string) getenv('STORE_ADMIN_PASSWORD');
        if ($given !== '' && mb_strlen($given) < Customers::SHORTEST_PASSWORD) {
            throw new \InvalidArgumentException('STORE_ADMIN_PASSWORD needs at least ' . Customers::SHORTEST_PASSWORD . ' characters.');
        }
        $password = $given !== '' ? $given : rtrim(strtr(base64_encode(random_bytes(12)), '+/', '-_'), '=');
        Database::run(
            'INSERT INTO admins (email, name, password_hash, created_at) VALUES (?, ?, ?, UTC_TIMESTAMP())
             ON DUPLICATE KEY UPDATE password_hash = VALUES(password_hash)',
            [$email, 'Harbour master', password_hash($password, PASSWORD_DEFAULT)],
        );

        return self::say("Admin: $email, password " . ($given !== '' ? 'as in STORE_ADMIN_PASSWORD.' : "$password (shown only now)"));
    }

    private static function sweep(): int
    {
        self::say('Dropped ' . Cart::sweep(86_400) . ' stale carts.');

        return self::say('Cancelled ' . Orders::cancelUnpaid(14) . ' unpaid orders.');
    }

    private static function mailer(bool $once): int
    {
        $running = !$once;
        if (function_exists('pcntl_async_signals')) {
            pcntl_async_signals(true);
            $stop = static function () use (&$running): void {
                $running = false;
            };
            pcntl_signal(SIGTERM, $stop);
            pcntl_signal(SIGINT, $stop);
        }
        do {
            try {
                Mailer::sendDue();
            } catch (\PDOException | Unavailable $error) {
                if ($once) {
                    throw $error;
                }
                fwrite(STDERR, 'Waiting for the database: ' . $error->getMessage() . "\n");
                Database::forget();
            }
            // Cut short by a signal.
            $running && sleep(2);
        } while ($running);

        return 0;
    }

    private static function check(): int
    {
        $files = [STORE_ROOT . '/bin/store', STORE_ROOT . '/public/index.php'];
        foreach (['src', 'templates'] as $folder) {
            $found = new \RecursiveIteratorIterator(new \RecursiveDirectoryIterator(STORE_ROOT . "/$folder", \FilesystemIterator::SKIP_DOTS));
            array_push($files, ...array_map(strval(...), iterator_to_array($found, false)));
        }
        foreach ($files as $file) {
            try {
                \PhpToken::tokenize((string) file_get_contents($file), TOKEN_PARSE);
            } catch (\ParseError $error) {
                return self::fail("{$error->getMessage()} in $file, line {$error->getLine()}", 1);
            }
        }

        return self::say('Parsed ' . count($files) . ' PHP files: no mistake found.');
    }

    private static function say(string $text): int
    {
        echo "$text\n";

        return 0;
    }

    private static function fail(string $text, int $code): int
    {
        fwrite(STDERR, rtrim($text) . "\n");

        return $code;
    }
}
