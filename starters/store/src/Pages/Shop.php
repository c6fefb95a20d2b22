<?php

declare(strict_types=1);

namespace Harbour\Pages;

use Harbour\Cache;
use Harbour\Catalogue;
use Harbour\Database;
use Harbour\Response;

final class Shop extends Page
{
    private const SITEMAP_SECONDS = 3600;

    public function home(): Response
    {
        return $this->show('shop/home', [
            'title' => 'Coffee for slow mornings',
            'featured' => Catalogue::featured(),
            'shelves' => Catalogue::categories(),
        ]);
    }

    public function category(string $slug): Response
    {
        $category = Catalogue::category($slug);
        $order = $this->request->query('order');

        return $this->show('shop/list', [
            'title' => $category['name'],
            'intro' => $category['intro'],
            'products' => Catalogue::inCategory((int) $category['id'], $order),
            'order' => $order,
            'search' => null,
        ]);
    }

    public function search(): Response
    {
        $text = mb_substr(trim($this->request->query('q')), 0, 80);
        $order = $this->request->query('order');

        return $this->show('shop/list', [
            'title' => $text === '' ? 'Search' : "Search: $text",
            'intro' => $text === '' ? 'Type what you are looking for: a coffee, a brewer, a cup.' : null,
            'products' => Catalogue::search($text, $order),
            'order' => $order,
            'search' => $text,
        ]);
    }

    public function product(string $slug): Response
    {
        $product = Catalogue::product($slug);

        return $this->show('shop/product', ['title' => $product['name'], 'product' => $product]);
    }

    public function subscribe(): Response
    {
        $email = mb_strtolower($this->request->post('email', 190));
        if (filter_var($email, FILTER_VALIDATE_EMAIL) === false) {
            return $this->redirect('/', 'This does not look like an e-mail address. Nothing was subscribed.');
        }
        if (!Cache::allows('newsletter ' . $this->request->ip(), 10, 3600)) {
            return $this->redirect('/', 'Too many subscriptions from here. Please try again in an hour.');
        }
        Database::run(
            'INSERT IGNORE INTO newsletter_subscribers (email, ip, token, subscribed_at) VALUES (?, ?, ?, UTC_TIMESTAMP())',
            [$email, $this->request->ip(), bin2hex(random_bytes(16))],
        );

        return $this->redirect('/', 'Thank you. The next letter from the roastery goes to you as well.');
    }

    /** Kept in var/cache for an hour, since crawlers ask often and the catalogue changes rarely. */
    public function sitemap(): Response
    {
        $base = ($this->request->isSecure() ? 'https://' : 'http://') . $this->request->host();
        $file = STORE_ROOT . '/var/cache/sitemap-' . substr(hash('sha256', $base), 0, 16) . '.xml';
        if (!is_file($file) || filemtime($file) < time() - self::SITEMAP_SECONDS) {
            $urls = array_map(static fn (string $path): string => '<url><loc>' . e($base . $path) . '</loc></url>', Catalogue::paths());
            file_put_contents("$file.part", '<?xml version="1.0" encoding="UTF-8"?>' . "\n"
                . '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">' . implode("\n", $urls) . '</urlset>');
            rename("$file.part", $file);
        }

        return new Response((string) file_get_contents($file), type: 'application/xml');
    }
}
