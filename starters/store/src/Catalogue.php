<?php

declare(strict_types=1);

namespace Harbour;

/** What the shop sells, as visitors see it: read through the cache. */
final class Catalogue
{
    public const ORDERS = ['' => 'Our choice', 'price' => 'Price, low to high', '-price' => 'Price, high to low', 'name' => 'Name'];

    private const COLUMNS = 'p.id, p.slug, p.sku, p.name, p.tagline, p.price_cents, p.stock, p.image, p.featured,
        c.slug AS category_slug, c.name AS category_name';

    /** @return list<array<string, mixed>> */
    public static function categories(): array
    {
        return Cache::remember('categories', static fn (): array => Database::rows(
            'SELECT c.id, c.slug, c.name, c.intro, COUNT(p.id) AS products FROM categories c
             LEFT JOIN products p ON p.category_id = c.id AND p.active = 1 GROUP BY c.id ORDER BY c.position',
        ));
    }

    /** @return array<string, mixed> */
    public static function category(string $slug): array
    {
        foreach (self::categories() as $category) {
            if ($category['slug'] === $slug) {
                return $category;
            }
        }
        throw new NotFound();
    }

    /** @return list<array<string, mixed>> */
    public static function featured(): array
    {
        return Cache::remember('featured', static fn (): array => self::select('p.featured = 1', [], 'p.id', 8));
    }

    /** @return list<array<string, mixed>> */
    public static function inCategory(int $id, string $order): array
    {
        $order = self::order($order);

        return Cache::remember("category:$id:$order", static fn (): array => self::select('p.category_id = ?', [$id], $order));
    }

    /**
     * Every word must occur in name, tagline, description or category.
     *
     * @return list<array<string, mixed>>
     */
    public static function search(string $text, string $order): array
    {
        $words = preg_split('/\s+/u', mb_strtolower(trim($text)), 6, PREG_SPLIT_NO_EMPTY) ?: [];
        if ($words === []) {
            return [];
        }
        $where = implode(' AND ', array_fill(0, count($words), "CONCAT_WS(' ', p.name, p.tagline, p.description, c.name) LIKE ?"));
        $values = array_map(static fn (string $word): string => '%' . addcslashes($word, '%_\\') . '%', $words);

        return self::select($where, $values, self::order($order));
    }

    /** @return array<string, mixed> with description, details (label => text) and related products */
    public static function product(string $slug): array
    {
        $product = Cache::remember("product:$slug", static fn (): array => Database::row(
            'SELECT ' . self::COLUMNS . ', p.description, p.details, p.category_id FROM products p
             JOIN categories c ON c.id = p.category_id WHERE p.slug = ? AND p.active = 1',
            [$slug],
        ) ?? []);
        if ($product === []) {
            throw new NotFound();
        }
        $product['details'] = json_decode((string) $product['details'], true);
        $others = self::inCategory((int) $product['category_id'], '');
        $product['related'] = array_slice(array_values(array_filter($others, static fn (array $o): bool => $o['id'] !== $product['id'])), 0, 4);

        return $product;
    }

    /**
     * Current price and stock, past the cache: for carts and orders.
     *
     * @param list<int> $ids
     * @return array<int, array<string, mixed>> by id
     */
    public static function byIds(array $ids): array
    {
        if ($ids === []) {
            return [];
        }
        $marks = implode(', ', array_fill(0, count($ids), '?'));

        return array_column(self::select("p.id IN ($marks)", $ids, 'p.id'), null, 'id');
    }

    /** @return list<string> every public path, for the sitemap */
    public static function paths(): array
    {
        $products = Database::run('SELECT slug FROM products WHERE active = 1 ORDER BY id')->fetchAll(\PDO::FETCH_COLUMN);

        return [
            '/',
            ...array_map(static fn (array $category): string => '/c/' . $category['slug'], self::categories()),
            ...array_map(static fn (string $slug): string => "/p/$slug", $products),
        ];
    }

    private static function order(string $order): string
    {
        return ['price' => 'p.price_cents, p.id', '-price' => 'p.price_cents DESC, p.id', 'name' => 'p.name'][$order] ?? 'p.featured DESC, p.id';
    }

    /**
     * @param list<mixed> $values
     * @return list<array<string, mixed>>
     */
    private static function select(string $where, array $values, string $order, int $limit = 200): array
    {
        return Database::rows(
            'SELECT ' . self::COLUMNS . " FROM products p JOIN categories c ON c.id = p.category_id
             WHERE p.active = 1 AND ($where) ORDER BY $order LIMIT $limit",
            $values,
        );
    }
}
