<?php

declare(strict_types=1);

namespace Harbour;

/** A cart is a Redis hash product id => quantity, and a place in a sorted set by when it was last touched. */
final class Cart
{
    public const FREE_SHIPPING_CENTS = 5000;
    public const SHIPPING_CENTS = 490;

    private const TOUCHED = 'carts:touched';
    private const MOST = 20;

    public function __construct(private readonly Session $session)
    {
    }

    public function add(int $product, int $quantity): void
    {
        if ($this->session->get('cart') === null) {
            $this->session->set('cart', bin2hex(random_bytes(16)));
        }
        $present = (int) Cache::connection()->hGet($this->key(), (string) $product);
        $this->put($product, $present + max(1, $quantity));
    }

    public function put(int $product, int $quantity): void
    {
        if ($this->session->get('cart') === null) {
            return;
        }
        $redis = Cache::connection();
        if ($quantity < 1) {
            $redis->hDel($this->key(), (string) $product);
        } else {
            $redis->hSet($this->key(), (string) $product, (string) min($quantity, self::MOST));
        }
        $redis->zAdd(self::TOUCHED, time(), $this->key());
    }

    public function clear(): void
    {
        Cache::connection()->del($this->key());
        Cache::connection()->zRem(self::TOUCHED, $this->key());
    }

    public function count(): int
    {
        return array_sum($this->quantities());
    }

    /** @return list<array<string, mixed>> products with quantity and sum_cents; what is no longer sold is left out */
    public function lines(): array
    {
        $quantities = $this->quantities();
        $lines = [];
        foreach (Catalogue::byIds(array_keys($quantities)) as $id => $product) {
            $quantity = $quantities[$id];
            $lines[] = [...$product, 'quantity' => $quantity, 'sum_cents' => $quantity * $product['price_cents']];
        }

        return $lines;
    }

    /**
     * @param list<array<string, mixed>> $lines
     * @return array{subtotal: int, shipping: int, total: int} in cents
     */
    public static function totals(array $lines): array
    {
        $subtotal = array_sum(array_column($lines, 'sum_cents'));
        $shipping = $subtotal === 0 || $subtotal >= self::FREE_SHIPPING_CENTS ? 0 : self::SHIPPING_CENTS;

        return ['subtotal' => $subtotal, 'shipping' => $shipping, 'total' => $subtotal + $shipping];
    }

    /** Drops the carts that nobody touched for so long, and says how many. */
    public static function sweep(int $seconds): int
    {
        $redis = Cache::connection();
        $stale = $redis->zRangeByScore(self::TOUCHED, '-inf', (string) (time() - $seconds));
        foreach (array_chunk($stale, 500) as $keys) {
            $redis->unlink($keys);
            $redis->zRem(self::TOUCHED, ...$keys);
        }

        return count($stale);
    }

    /** @return array<int, int> */
    private function quantities(): array
    {
        if ($this->session->get('cart') === null) {
            return [];
        }

        return array_map(intval(...), Cache::connection()->hGetAll($this->key()) ?: []);
    }

    private function key(): string
    {
        return 'cart:' . $this->session->get('cart');
    }
}
