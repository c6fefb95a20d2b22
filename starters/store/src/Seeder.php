<?php

declare(strict_types=1);

namespace Harbour;

use DateTimeImmutable;

/**
 * Fills the store. The same seed, numbers and date give the same data in an empty database; in a filled one the new
 * people follow those that are there.
 */
final class Seeder
{
    public const ADMIN = 'admin@harbour.example';
    public const CUSTOMER_PASSWORD = 'harbour-demo';

    private const CUSTOMER_DAYS = 1095;
    private const ORDER_DAYS = 730;

    /** Less than 1: more people and orders per day the nearer to today. */
    private const GROWTH = 0.7;

    private readonly People $people;
    private int $firstCustomer = 0;
    private int $customers = 0;

    public function __construct(int $seed, private readonly DateTimeImmutable $until)
    {
        $this->people = new People($seed);
    }

    /** @return array<string, int> what => how many. All of it or, when interrupted, nothing. */
    public function run(int $customers, int $orders): array
    {
        return Database::transaction(function () use ($customers, $orders): array {
            $this->catalogue();
            $this->firstCustomer = (int) Database::value('SELECT COALESCE(MAX(id), 0) FROM customers') + 1;
            $this->customers = $customers;
            $this->addCustomers();
            $products = Database::rows('SELECT id, name, price_cents FROM products ORDER BY id');
            $this->addOrders($orders, $products);

            return ['products' => count($products), 'customers' => $customers, 'orders' => $orders];
        });
    }

    /** Adds what is missing and leaves alone what is there, which may have been edited. */
    private function catalogue(): void
    {
        $catalogue = json_decode((string) file_get_contents(STORE_ROOT . '/data/catalogue.json'), true, 16, JSON_THROW_ON_ERROR);
        foreach ($catalogue['categories'] as $position => $row) {
            Database::run('INSERT IGNORE INTO categories (id, slug, name, intro, position) VALUES (?, ?, ?, ?, ?)', [$row['id'], $row['slug'], $row['name'], $row['intro'], $position]);
        }
        foreach ($catalogue['products'] as $row) {
            Database::run(
                'INSERT IGNORE INTO products (category_id, slug, sku, name, tagline, description, details, price_cents, stock, image, featured, created_at)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, UTC_TIMESTAMP())',
                [
                    $row['category'], $row['slug'], $row['sku'], $row['name'], $row['tagline'], $row['description'],
                    json_encode($row['details'], JSON_THROW_ON_ERROR | JSON_UNESCAPED_UNICODE), $row['price'], $row['stock'], $row['slug'] . '.svg', (int) ($row['featured'] ?? false),
                ],
            );
        }
    }

    private function addCustomers(): void
    {
        $customers = new Batch('customers', ['id', 'email', 'password_hash', 'first_name', 'last_name', 'phone', 'birth_date', 'iban', 'profile', 'preferences', 'last_ip', 'created_at', 'last_login_at']);
        $addresses = new Batch('addresses', ['customer_id', 'label', 'recipient', 'street', 'postcode', 'city', 'country', 'phone', 'is_default'], $customers);
        $subscribers = new Batch('newsletter_subscribers', ['email', 'name', 'ip', 'token', 'subscribed_at']);
        $hash = self::passwordHash();
        for ($at = 0; $at < $this->customers; $at++) {
            $index = $this->firstCustomer - 1 + $at;
            $random = $this->people->random('customer', $index);
            $person = $this->people->person($index);
            $details = $this->people->details($index, $person);
            $created = $this->moment($at, $this->customers, self::CUSTOMER_DAYS);
            $login = $random->getInt(0, 9) === 0 ? null : gmdate('Y-m-d H:i:s', $random->getInt($created, $this->until->getTimestamp()));
            $name = $person['first'] . ' ' . $person['last'];
            $joined = gmdate('Y-m-d H:i:s', $created);
            $customers->add([
                $index + 1, $person['email'], $hash, $person['first'], $person['last'], $person['phone'], $details['birth_date'],
                $details['iban'], $details['profile'], $details['preferences'], $person['ip'], $joined, $login,
            ]);
            $addresses->add([$index + 1, 'Home', $name, $person['street'], $person['postcode'], $person['city'], $person['country'], $person['phone'], 1]);
            if ($random->getInt(1, 4) === 1) {
                $work = [...$this->people->person($index + 5_000_011), 'country' => $person['country']];
                $addresses->add([$index + 1, 'Work', $name, $work['street'], $person['postcode'], $person['city'], $person['country'], null, 0]);
            }
            if ($random->getInt(1, 5) <= 2) {
                $subscribers->add([$person['email'], $name, $person['ip'], bin2hex($random->getBytes(16)), $joined]);
            }
        }
        $customers->flush();
        $addresses->flush();
        $subscribers->flush();
    }

    /** @param list<array<string, mixed>> $products */
    private function addOrders(int $total, array $products): void
    {
        $firstOrder = (int) Database::value('SELECT COALESCE(MAX(id), 0) FROM orders') + 1;
        $orders = new Batch('orders', [
            'id', 'number', 'access_key', 'customer_id', 'email', 'status', 'subtotal_cents', 'shipping_cents', 'total_cents', 'ship_name', 'ship_street', 'ship_postcode',
            'ship_city', 'ship_country', 'ship_phone', 'payment_method', 'card_brand', 'card_last4', 'ip', 'note', 'placed_at',
        ]);
        $rows = new Batch('order_items', ['order_id', 'product_id', 'name', 'unit_cents', 'quantity'], $orders);
        for ($at = 0; $at < $total; $at++) {
            $id = $firstOrder + $at;
            $random = $this->people->random('order', $id);
            $placed = $this->moment($at, $total, self::ORDER_DAYS);
            $customer = $this->buyer($random, $placed);
            // Guests come back as well: they are the people just after the last customer.
            $guest = $this->firstCustomer - 1 + $this->customers + $random->getInt(0, max(20, intdiv($total, 10)));
            $person = $this->people->person($customer ?? $guest);
            $lines = self::lines($random, $products);
            $totals = Cart::totals($lines);
            $byCard = $random->getInt(1, 5) > 1;
            $orders->add([
                $id, Orders::number($id), bin2hex($random->getBytes(12)), $customer === null ? null : $customer + 1, $person['email'], $this->status($random, $placed, $byCard),
                $totals['subtotal'], $totals['shipping'], $totals['total'], $person['first'] . ' ' . $person['last'], $person['street'], $person['postcode'],
                $person['city'], $person['country'], $person['phone'], $byCard ? 'card' : 'invoice',
                $byCard ? $this->people->pick($random, ['Visa', 'Visa', 'Mastercard', 'Amex']) : null, $byCard ? sprintf('%04d', $random->getInt(0, 9999)) : null,
                $person['ip'], $this->people->note($random, $person), gmdate('Y-m-d H:i:s', $placed),
            ]);
            foreach ($lines as $line) {
                $rows->add([$id, $line['id'], $line['name'], $line['price_cents'], $line['quantity']]);
            }
        }
        $orders->flush();
        $rows->flush();
    }

    /** Seconds since 1970 of row $at of $total, over the days before the end date. */
    private function moment(int $at, int $total, int $days): int
    {
        return $this->until->getTimestamp() - (int) ($days * 86400 * (1 - (($at + 0.5) / $total) ** self::GROWTH));
    }

    /** Index of a customer who had an account at that moment; null for a guest. Early ones buy more often. */
    private function buyer(\Random\Randomizer $random, int $placed): ?int
    {
        $age = ($this->until->getTimestamp() - $placed) / 86400;
        $known = (int) ($this->customers * (1 - $age / self::CUSTOMER_DAYS) ** (1 / self::GROWTH));
        if ($known < 1 || $random->getInt(1, 8) === 1) {
            return null;
        }
        $share = $random->getInt(0, 999_999) / 1_000_000;

        return $this->firstCustomer - 1 + (int) ($known * ($random->getInt(1, 3) === 1 ? $share ** 1.5 : $share));
    }

    private function status(\Random\Randomizer $random, int $placed, bool $byCard): string
    {
        $days = ($this->until->getTimestamp() - $placed) / 86400;
        $chance = $random->getInt(1, 100);

        return match (true) {
            $chance <= 4 => 'cancelled',
            $days > 12 => 'delivered',
            $days > 2 => $chance <= 60 ? 'delivered' : 'shipped',
            default => $byCard ? ($chance <= 30 ? 'shipped' : 'paid') : 'awaiting_payment',
        };
    }

    /**
     * @param list<array<string, mixed>> $products
     * @return list<array<string, mixed>>
     */
    private static function lines(\Random\Randomizer $random, array $products): array
    {
        $lines = [];
        $last = count($products) - 1;
        for ($count = [1, 1, 2, 2, 3, 4][$random->getInt(0, 5)]; $count > 0; $count--) {
            // Half of all goods sold are coffee, which comes first in the catalogue.
            $product = $products[$random->getInt(0, $random->getInt(0, 1) === 0 ? min(5, $last) : $last)];
            $quantity = $product['price_cents'] < 2000 ? $random->getInt(1, 3) : 1;
            $lines[$product['id']] = [...$product, 'quantity' => $quantity, 'sum_cents' => $quantity * $product['price_cents']];
        }

        return array_values($lines);
    }

    /** Salted by a constant: a demo password that is printed anyway, and the same data each time. */
    private static function passwordHash(): string
    {
        return crypt(self::CUSTOMER_PASSWORD, '$2y$10$HarbourCoffeeDemoSalt.');
    }
}
