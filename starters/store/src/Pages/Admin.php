<?php

declare(strict_types=1);

namespace Harbour\Pages;

use Harbour\Cache;
use Harbour\Customers;
use Harbour\Database;
use Harbour\NotFound;
use Harbour\Orders;
use Harbour\Reports;
use Harbour\Response;
use Harbour\Uploads;
use Harbour\View;

/** The back office. Every page but the sign-in asks for the admin first. */
final class Admin extends Page
{
    private const PER_PAGE = 25;

    /** @var array<string, mixed>|null */
    private ?array $admin = null;

    public function signInForm(): Response
    {
        return $this->show('admin/sign-in', ['title' => 'Back office']);
    }

    public function signIn(): Response
    {
        $email = mb_strtolower($this->request->post('email', 190));
        $attempt = "admin $email " . $this->request->ip();
        $allowed = Cache::allows($attempt, 8, 600);
        $admin = $allowed ? Customers::verify('admins', $email, $this->request->post('password')) : null;
        if ($admin === null) {
            $reason = $allowed ? 'E-mail and password do not fit together.' : 'Too many attempts. Please wait ten minutes.';

            return $this->show('admin/sign-in', ['title' => 'Back office', 'errors' => ['form' => $reason], 'form' => ['email' => $email]], $allowed ? 422 : 429);
        }
        Cache::forgive($attempt);
        $this->session->renew();
        $this->session->set('admin', $admin['id']);
        $this->session->set('admin_stamp', Customers::stamp($admin));
        Database::run('UPDATE admins SET last_login_at = UTC_TIMESTAMP() WHERE id = ?', [$admin['id']]);

        return $this->redirect('/admin');
    }

    public function signOut(): Response
    {
        $this->session->remove('admin');
        $this->session->renew();

        return $this->redirect('/admin/sign-in', 'You are signed out.');
    }

    public function overview(): Response
    {
        return $this->office('admin/overview', static fn (): array => [
            'title' => 'Overview',
            'figures' => Reports::figures(),
            'days' => Reports::days(30),
            'orders' => Database::rows('SELECT * FROM orders ORDER BY id DESC LIMIT 8'),
            'low' => Database::rows('SELECT id, name, image, stock FROM products WHERE active = 1 ORDER BY stock, id LIMIT 6'),
        ]);
    }

    public function orders(): Response
    {
        $status = $this->request->query('status');
        $text = $this->request->query('q');
        [$where, $values] = ['1 = 1', []];
        if (isset(Orders::STATUSES[$status])) {
            [$where, $values] = ['status = ?', [$status]];
        }
        if ($text !== '') {
            $where .= ' AND (number = ? OR email = ? OR ship_name LIKE ?)';
            array_push($values, mb_strtoupper($text), mb_strtolower($text), addcslashes($text, '%_\\') . '%');
        }

        return $this->office('admin/orders', fn (): array => ['title' => 'Orders', 'status' => $status, ...$this->listOf('orders', $where, $values, 'id DESC')]);
    }

    public function order(string $number): Response
    {
        return $this->office('admin/order', static fn (): array => ['title' => "Order $number", 'order' => Orders::get($number)]);
    }

    public function moveOrder(string $number): Response
    {
        $this->required();
        $order = Orders::get($number);
        $moved = Orders::move((int) $order['id'], $order['status'], $this->request->post('status'));

        return $this->redirect("/admin/orders/{$order['number']}", $moved ? 'The order is updated.' : 'Someone else moved this order meanwhile. Nothing was changed.');
    }

    public function customers(): Response
    {
        $text = $this->request->query('q');
        $start = addcslashes($text, '%_\\') . '%';
        [$where, $values] = $text === '' ? ['1 = 1', []] : ['(email LIKE ? OR last_name LIKE ? OR first_name LIKE ?)', [$start, $start, $start]];

        return $this->office('admin/customers', fn (): array => ['title' => 'Customers', ...$this->listOf('customers', $where, $values, 'id DESC')]);
    }

    public function customer(string $id): Response
    {
        return $this->office('admin/customer', static function () use ($id): array {
            $customer = Database::row('SELECT * FROM customers WHERE id = ?', [(int) $id]) ?? throw new NotFound();

            return [
                'title' => $customer['first_name'] . ' ' . $customer['last_name'],
                'person' => $customer,
                'profile' => (array) json_decode((string) $customer['profile'], true),
                'preferences' => (array) (@unserialize((string) $customer['preferences'], ['allowed_classes' => false]) ?: []),
                'addresses' => Customers::addresses((int) $id),
                'orders' => Database::rows('SELECT * FROM orders WHERE customer_id = ? ORDER BY id DESC LIMIT 20', [(int) $id]),
            ];
        });
    }

    public function products(): Response
    {
        return $this->office('admin/products', static fn (): array => [
            'title' => 'Products',
            'rows' => Database::rows('SELECT p.*, c.name AS category FROM products p JOIN categories c ON c.id = p.category_id ORDER BY c.position, p.id'),
        ]);
    }

    public function product(string $id): Response
    {
        return $this->office('admin/product', static function () use ($id): array {
            $product = Database::row('SELECT * FROM products WHERE id = ?', [(int) $id]) ?? throw new NotFound();

            return ['title' => $product['name'], 'product' => $product];
        });
    }

    public function saveProduct(string $id): Response
    {
        $this->required();
        $product = Database::row('SELECT * FROM products WHERE id = ?', [(int) $id]) ?? throw new NotFound();
        $back = "/admin/products/{$product['id']}";
        $price = str_replace(',', '.', $this->request->post('price', 12));
        $row = ['name' => $this->request->post('name', 120), 'tagline' => $this->request->post('tagline', 160), 'description' => $this->request->post('description', 4000)];
        if (in_array('', $row, true) || preg_match('/^\d{1,5}(\.\d{1,2})?$/D', $price) !== 1 || preg_match('/^\d{1,6}$/D', $this->request->post('stock')) !== 1) {
            return $this->redirect($back, 'Name, tagline, description, a price like 12.50 and a whole number in stock are needed. Nothing was changed.');
        }
        try {
            $image = Uploads::store($_FILES['picture'] ?? null, $product['slug']);
        } catch (\InvalidArgumentException $error) {
            return $this->redirect($back, $error->getMessage() . ' Nothing was changed.');
        }
        Database::update('products', (int) $product['id'], [
            ...$row,
            'price_cents' => (int) round((float) $price * 100),
            'stock' => (int) $this->request->post('stock'),
            'featured' => $this->request->post('featured') === '1' ? 1 : 0,
            'active' => $this->request->post('active') === '1' ? 1 : 0,
            'image' => $image ?? $product['image'],
        ]);
        Cache::forgetCatalogue();

        return $this->redirect($back, 'The product is saved and visible in the shop.');
    }

    /** @return array<string, mixed>|null */
    private function admin(): ?array
    {
        $id = $this->session->get('admin');
        $admin = $id === null ? null : Database::row('SELECT * FROM admins WHERE id = ?', [$id]);

        return $admin !== null && hash_equals(Customers::stamp($admin), (string) $this->session->get('admin_stamp')) ? $admin : null;
    }

    private function required(): void
    {
        $this->admin() ?? throw new NotFound();
    }

    /** @param callable(): array<string, mixed> $load runs only for an admin */
    private function office(string $template, callable $load): Response
    {
        $this->admin = $this->admin();
        if ($this->admin === null) {
            return $this->redirect('/admin/sign-in');
        }
        $values = ['token' => $this->session->token(), 'path' => $this->request->path, ...$load()];
        $values['inner'] = View::bare($template, $values);

        return $this->show('admin/frame', [...$values, 'admin' => $this->admin]);
    }

    /**
     * @param list<mixed> $values
     * @return array<string, mixed> rows, page, pages, total and the text searched for
     */
    private function listOf(string $table, string $where, array $values, string $order): array
    {
        $total = (int) Database::value("SELECT COUNT(*) FROM $table WHERE $where", $values);
        $pages = max(1, (int) ceil($total / self::PER_PAGE));
        $page = min($this->request->page(), $pages);
        $offset = ($page - 1) * self::PER_PAGE;
        $rows = Database::rows("SELECT * FROM $table WHERE $where ORDER BY $order LIMIT " . self::PER_PAGE . " OFFSET $offset", $values);

        return ['rows' => $rows, 'total' => $total, 'page' => $page, 'pages' => $pages, 'text' => $this->request->query('q')];
    }
}
