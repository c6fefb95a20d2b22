<?php

declare(strict_types=1);

namespace Harbour;

final class Orders
{
    public const STATUSES = [
        'awaiting_payment' => 'Awaiting payment',
        'paid' => 'Paid',
        'shipped' => 'Shipped',
        'delivered' => 'Delivered',
        'cancelled' => 'Cancelled',
    ];

    /** Which step may follow which. */
    public const NEXT = [
        'awaiting_payment' => ['paid', 'cancelled'],
        'paid' => ['shipped', 'cancelled'],
        'shipped' => ['delivered'],
        'delivered' => [],
        'cancelled' => [],
    ];

    /**
     * Takes the goods from stock and writes the order, both or neither.
     *
     * @param array<string, mixed> $order columns of orders, without those computed here
     * @param list<array<string, mixed>> $lines from the cart
     * @return array{number: string, access_key: string}
     * @throws SoldOut
     */
    public static function place(array $order, array $lines): array
    {
        return Database::transaction(static function () use ($order, $lines): array {
            // In the order of ids, so that two orders for the same goods cannot lock each other out.
            usort($lines, static fn (array $a, array $b): int => $a['id'] <=> $b['id']);
            foreach ($lines as $line) {
                $taken = Database::run('UPDATE products SET stock = stock - ? WHERE id = ? AND stock >= ?', [$line['quantity'], $line['id'], $line['quantity']]);
                if ($taken->rowCount() === 0) {
                    throw new SoldOut($line['name']);
                }
            }
            $totals = Cart::totals($lines);
            $key = bin2hex(random_bytes(12));
            $id = Database::insert('orders', [
                ...$order,
                // Provisional: the real one is made from the id, which is known a line later.
                'number' => substr($key, 0, 20),
                'access_key' => $key,
                'subtotal_cents' => $totals['subtotal'],
                'shipping_cents' => $totals['shipping'],
                'total_cents' => $totals['total'],
                'placed_at' => gmdate('Y-m-d H:i:s'),
            ]);
            $number = self::number($id);
            Database::update('orders', $id, ['number' => $number]);
            foreach ($lines as $line) {
                Database::run(
                    'INSERT INTO order_items (order_id, product_id, name, unit_cents, quantity) VALUES (?, ?, ?, ?, ?)',
                    [$id, $line['id'], $line['name'], $line['price_cents'], $line['quantity']],
                );
            }
            Mailer::queue($order['email'], "Your order $number", self::confirmation($number, $order['ship_name'], $lines, $totals['total']));

            return ['number' => $number, 'access_key' => $key];
        });
    }

    public static function number(int $id): string
    {
        return 'HC-' . (100_000 + $id);
    }

    /** @return array<string, mixed> with its items */
    public static function get(string $number): array
    {
        $order = Database::row('SELECT * FROM orders WHERE number = ?', [$number]) ?? throw new NotFound();
        $order['items'] = Database::rows(
            'SELECT i.*, p.slug, p.image FROM order_items i JOIN products p ON p.id = i.product_id WHERE i.order_id = ? ORDER BY i.product_id',
            [$order['id']],
        );

        return $order;
    }

    /** Moves an order one step on; what may not follow, or was already moved by someone else, changes nothing. */
    public static function move(int $id, string $from, string $to): bool
    {
        if (!in_array($to, self::NEXT[$from] ?? [], true)) {
            return false;
        }

        return Database::transaction(static function () use ($id, $from, $to): bool {
            if (Database::run('UPDATE orders SET status = ? WHERE id = ? AND status = ?', [$to, $id, $from])->rowCount() === 0) {
                return false;
            }
            if ($to === 'cancelled') {
                Database::run('UPDATE products p JOIN order_items i ON i.product_id = p.id SET p.stock = p.stock + i.quantity WHERE i.order_id = ?', [$id]);
            }

            return true;
        });
    }

    /** Cancels orders that stayed unpaid for so many days, and returns their goods to stock. */
    public static function cancelUnpaid(int $days): int
    {
        $ids = Database::run(
            "SELECT id FROM orders WHERE status = 'awaiting_payment' AND placed_at < UTC_TIMESTAMP() - INTERVAL ? DAY LIMIT 1000",
            [$days],
        )->fetchAll(\PDO::FETCH_COLUMN);

        return count(array_filter($ids, static fn (int $id): bool => self::move($id, 'awaiting_payment', 'cancelled')));
    }

    /** @param list<array<string, mixed>> $lines */
    private static function confirmation(string $number, string $name, array $lines, int $total): string
    {
        $text = "Hello $name,\n\nthank you for your order $number:\n\n";
        foreach ($lines as $line) {
            $text .= sprintf("  %d x %s  %s\n", $line['quantity'], $line['name'], money($line['sum_cents']));
        }

        return $text . "\nTotal with shipping: " . money($total) . "\n\nWe roast on weekdays and ship the morning after.\n\nHarbour Coffee";
    }
}
