<?php

declare(strict_types=1);

namespace Harbour\Pages;

use Harbour\Cache;
use Harbour\Customers;
use Harbour\Database;
use Harbour\NotFound;
use Harbour\Orders;
use Harbour\Response;

final class Account extends Page
{
    private const PER_PAGE = 8;

    public function overview(): Response
    {
        $customer = Customers::current($this->session);
        if ($customer === null) {
            return $this->redirect('/account/sign-in');
        }
        $page = $this->request->page();
        $offset = ($page - 1) * self::PER_PAGE;
        $total = (int) Database::value('SELECT COUNT(*) FROM orders WHERE customer_id = ?', [$customer['id']]);

        return $this->show('account/overview', [
            'title' => 'Your account',
            'customer' => $customer,
            'orders' => Database::rows('SELECT * FROM orders WHERE customer_id = ? ORDER BY id DESC LIMIT ' . self::PER_PAGE . " OFFSET $offset", [$customer['id']]),
            'page' => $page,
            'pages' => max(1, (int) ceil($total / self::PER_PAGE)),
            'total' => $total,
            'addresses' => Customers::addresses((int) $customer['id']),
        ]);
    }

    public function signInForm(): Response
    {
        return $this->show('account/sign-in', ['title' => 'Sign in']);
    }

    public function signIn(): Response
    {
        $email = mb_strtolower($this->request->post('email', 190));
        $attempt = "sign-in $email " . $this->request->ip();
        if (!Cache::allows($attempt, 8, 600)) {
            return $this->refused('account/sign-in', 'Sign in', 'Too many attempts. Please wait ten minutes.', 429);
        }
        $customer = Customers::verify('customers', $email, $this->request->post('password'));
        if ($customer === null) {
            return $this->refused('account/sign-in', 'Sign in', 'E-mail and password do not fit together.', 422);
        }
        Cache::forgive($attempt);
        Customers::signIn($this->session, $customer, $this->request->ip());

        return $this->redirect('/account', 'Welcome back, ' . $customer['first_name'] . '.');
    }

    public function registerForm(): Response
    {
        return $this->show('account/register', ['title' => 'Create an account']);
    }

    public function register(): Response
    {
        $form = ['first_name' => $this->request->post('first_name', 60), 'last_name' => $this->request->post('last_name', 60), 'email' => mb_strtolower($this->request->post('email', 190))];
        $password = $this->request->post('password');
        $errors = [];
        if ($form['first_name'] === '' || $form['last_name'] === '') {
            $errors['first_name'] = 'Enter your first and last name.';
        }
        if (filter_var($form['email'], FILTER_VALIDATE_EMAIL) === false) {
            $errors['email'] = 'Enter an e-mail address, such as name@example.com.';
        } elseif (Database::row('SELECT id FROM customers WHERE email = ?', [$form['email']]) !== null) {
            $errors['email'] = 'There is an account with this e-mail already. Sign in instead.';
        }
        if (mb_strlen($password) < Customers::SHORTEST_PASSWORD) {
            $errors['password'] = 'Use at least ' . Customers::SHORTEST_PASSWORD . ' characters.';
        }
        if ($errors !== []) {
            return $this->show('account/register', ['title' => 'Create an account', 'form' => $form, 'errors' => $errors], 422);
        }
        $customer = Customers::register($form['email'], $password, $form['first_name'], $form['last_name'], $this->request->ip());
        Customers::signIn($this->session, $customer, $this->request->ip());

        return $this->redirect('/account', 'Your account is ready. Welcome aboard.');
    }

    public function signOut(): Response
    {
        $this->session->remove('customer');
        $this->session->renew();

        return $this->redirect('/', 'You are signed out.');
    }

    public function saveProfile(): Response
    {
        $customer = $this->required();
        $birth = $this->request->post('birth_date', 10);
        $date = \DateTimeImmutable::createFromFormat('!Y-m-d', $birth);
        $first = $this->request->post('first_name', 60);
        $last = $this->request->post('last_name', 60);
        if ($first === '' || $last === '' || ($birth !== '' && ($date === false || $date->format('Y-m-d') !== $birth))) {
            return $this->redirect('/account', 'A first name, a last name and a birth date like 1988-04-23 (or none) are needed. Nothing was changed.');
        }
        Database::update('customers', (int) $customer['id'], [
            'first_name' => $first, 'last_name' => $last, 'phone' => $this->request->post('phone', 32) ?: null, 'birth_date' => $birth ?: null,
        ]);

        return $this->redirect('/account', 'Your details are saved.');
    }

    public function order(string $number): Response
    {
        $customer = Customers::current($this->session);
        if ($customer === null) {
            return $this->redirect('/account/sign-in');
        }
        $order = Orders::get($number);
        if ($order['customer_id'] !== $customer['id']) {
            throw new NotFound();
        }

        return $this->show('account/order', ['title' => "Order $number", 'order' => $order]);
    }

    public function saveAddress(): Response
    {
        $customer = $this->required();
        $row = ['label' => $this->request->post('label', 40) ?: 'Address'];
        foreach (['recipient' => 120, 'street' => 120, 'postcode' => 16, 'city' => 80] as $field => $limit) {
            $row[$field] = $this->request->post($field, $limit);
        }
        $row['country'] = $this->request->post('country');
        if (in_array('', $row, true) || !isset(countries()[$row['country']])) {
            return $this->redirect('/account#addresses', 'An address needs name, street, postcode, city and country. Nothing was saved.');
        }
        $row += ['phone' => $this->request->post('phone', 32) ?: null, 'customer_id' => $customer['id']];
        $row['is_default'] = Customers::addresses((int) $customer['id']) === [] ? 1 : 0;
        Database::insert('addresses', $row);

        return $this->redirect('/account#addresses', 'The address is saved.');
    }

    public function removeAddress(): Response
    {
        $customer = $this->required();
        Database::run('DELETE FROM addresses WHERE id = ? AND customer_id = ?', [(int) $this->request->post('address'), $customer['id']]);

        return $this->redirect('/account#addresses', 'The address is removed.');
    }

    /** @return array<string, mixed> */
    private function required(): array
    {
        return Customers::current($this->session) ?? throw new NotFound();
    }

    private function refused(string $template, string $title, string $reason, int $status): Response
    {
        return $this->show($template, ['title' => $title, 'errors' => ['form' => $reason], 'form' => ['email' => $this->request->post('email', 190)]], $status);
    }
}
