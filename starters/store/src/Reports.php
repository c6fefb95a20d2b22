<?php

declare(strict_types=1);

namespace Harbour;

/** The numbers on the first page of the back office. */
final class Reports
{
    /** @return list<array{label: string, value: string, note: string}> */
    public static function figures(): array
    {
        $month = Database::row(
            "SELECT COUNT(*) AS orders, COALESCE(SUM(total_cents), 0) AS cents FROM orders
             WHERE status <> 'cancelled' AND placed_at >= UTC_TIMESTAMP() - INTERVAL 30 DAY",
        );
        $orders = (int) $month['orders'];
        $cents = (int) $month['cents'];
        $open = (int) Database::value("SELECT COUNT(*) FROM orders WHERE status = 'paid'");
        $customers = (int) Database::value('SELECT COUNT(*) FROM customers');
        $new = (int) Database::value('SELECT COUNT(*) FROM customers WHERE created_at >= UTC_TIMESTAMP() - INTERVAL 30 DAY');

        return [
            ['label' => 'Revenue, 30 days', 'value' => '€' . number_format($cents / 100), 'note' => $orders === 0 ? 'no orders yet' : money(intdiv($cents, $orders)) . ' per order'],
            ['label' => 'Orders, 30 days', 'value' => number_format($orders), 'note' => round($orders / 30, 1) . ' a day'],
            ['label' => 'To be shipped', 'value' => number_format($open), 'note' => 'paid, not yet on their way'],
            ['label' => 'Customers', 'value' => number_format($customers), 'note' => number_format($new) . ' new in 30 days'],
        ];
    }

    /** @return array<string, int> revenue in cents by day (Y-m-d), today last; days without orders count 0 */
    public static function days(int $count): array
    {
        $found = Database::run(
            "SELECT DATE(placed_at), SUM(total_cents) FROM orders
             WHERE status <> 'cancelled' AND placed_at >= UTC_DATE() - INTERVAL ? DAY GROUP BY DATE(placed_at)",
            [$count - 1],
        )->fetchAll(\PDO::FETCH_KEY_PAIR);
        $days = [];
        for ($ago = $count - 1; $ago >= 0; $ago--) {
            $date = gmdate('Y-m-d', time() - $ago * 86400);
            $days[$date] = (int) ($found[$date] ?? 0);
        }

        return $days;
    }
}
