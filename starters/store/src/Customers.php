<?php

declare(strict_types=1);

namespace Harbour;

final class Customers
{
    public const SHORTEST_PASSWORD = 10;

    /** Checked when the e-mail is unknown, so that the answer takes as long as for a known one. */
    private const NOBODY = '$2y$10$N1qyJpHhBzXdjcJ4WZ1HsuoTPBJfJQf0n0ENLZ4bnKyqXy7Y3Sm7K';

    /** @return array<string, mixed>|null the signed-in customer; null as well after a change of password elsewhere */
    public static function current(Session $session): ?array
    {
        $id = $session->get('customer');
        $customer = $id === null ? null : Database::row('SELECT * FROM customers WHERE id = ?', [$id]);

        return $customer !== null && hash_equals(self::stamp($customer), (string) $session->get('customer_stamp')) ? $customer : null;
    }

    /** @param array<string, mixed> $customer */
    public static function signIn(Session $session, array $customer, string $ip): void
    {
        $session->renew();
        $session->set('customer', $customer['id']);
        $session->set('customer_stamp', self::stamp($customer));
        Database::run('UPDATE customers SET last_login_at = UTC_TIMESTAMP(), last_ip = ? WHERE id = ?', [$ip, $customer['id']]);
    }

    /** @return array<string, mixed>|null from "customers" or "admins" */
    public static function verify(string $table, string $email, string $password): ?array
    {
        $found = Database::row("SELECT * FROM $table WHERE email = ?", [$email]);
        $fits = password_verify($password, $found['password_hash'] ?? self::NOBODY);

        return $found !== null && $fits ? $found : null;
    }

    /** @param array<string, mixed> $person */
    public static function stamp(array $person): string
    {
        return substr(hash('sha256', (string) $person['password_hash']), 0, 16);
    }

    /** @return array<string, mixed> */
    public static function register(string $email, string $password, string $first, string $last, string $ip): array
    {
        $id = Database::insert('customers', [
            'email' => $email,
            'password_hash' => password_hash($password, PASSWORD_DEFAULT),
            'first_name' => $first,
            'last_name' => $last,
            'profile' => json_encode(['language' => 'en', 'source' => 'website'], JSON_THROW_ON_ERROR),
            'preferences' => serialize(['newsletter' => false, 'grind' => 'whole beans']),
            'last_ip' => $ip,
            'created_at' => gmdate('Y-m-d H:i:s'),
        ]);
        Mailer::queue($email, 'Welcome to Harbour Coffee', "Hello $first,\n\nyour account is ready. Your orders and addresses now have a home.\n\nHarbour Coffee");

        return (array) Database::row('SELECT * FROM customers WHERE id = ?', [$id]);
    }

    /** @return list<array<string, mixed>> */
    public static function addresses(int $customer): array
    {
        return Database::rows('SELECT * FROM addresses WHERE customer_id = ? ORDER BY is_default DESC, id', [$customer]);
    }
}
