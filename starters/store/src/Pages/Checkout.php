<?php

declare(strict_types=1);

namespace Harbour\Pages;

use Harbour\Cart;
use Harbour\Customers;
use Harbour\NotFound;
use Harbour\Catalogue;
use Harbour\Orders;
use Harbour\Response;
use Harbour\SoldOut;

final class Checkout extends Page
{
    public function cart(): Response
    {
        $lines = $this->cart->lines();

        return $this->show('shop/cart', ['title' => 'Your cart', 'lines' => $lines, 'totals' => Cart::totals($lines)]);
    }

    public function add(): Response
    {
        $id = (int) $this->request->post('product');
        $product = Catalogue::byIds([$id])[$id] ?? throw new NotFound();
        $this->cart->add($id, (int) $this->request->post('quantity'));

        return $this->redirect('/cart', $product['name'] . ' is in your cart.');
    }

    /** The whole cart at once: quantity[<product id>], 0 removes; "remove" names one product. */
    public function update(): Response
    {
        $quantities = is_array($_POST['quantity'] ?? null) ? $_POST['quantity'] : [];
        foreach ($quantities as $id => $quantity) {
            $this->cart->put((int) $id, is_string($quantity) ? max(0, (int) $quantity) : 0);
        }
        $remove = (int) $this->request->post('remove');
        if ($remove > 0) {
            $this->cart->put($remove, 0);
        }

        return $this->redirect('/cart');
    }

    public function form(): Response
    {
        return $this->cart->lines() === [] ? $this->redirect('/cart') : $this->page($this->known(), []);
    }

    public function place(): Response
    {
        $lines = $this->cart->lines();
        if ($lines === []) {
            return $this->redirect('/cart', 'Your cart is empty: nothing was ordered.');
        }
        $form = [];
        foreach (['email', 'ship_name', 'ship_street', 'ship_postcode', 'ship_city', 'ship_country', 'ship_phone', 'payment_method', 'card_number', 'note'] as $field) {
            $form[$field] = $this->request->post($field, $field === 'note' ? 1000 : 120);
        }
        $errors = self::errors($form);
        if ($errors !== []) {
            return $this->page($form, $errors, 422);
        }
        try {
            $order = Orders::place($this->columns($form), $lines);
        } catch (SoldOut $error) {
            return $this->redirect('/cart', 'We do not have that many left: ' . $error->getMessage() . '. Nothing was ordered.');
        }
        $this->cart->clear();

        return Response::redirect("/thanks/{$order['number']}?key={$order['access_key']}");
    }

    public function thanks(string $number): Response
    {
        $order = Orders::get($number);
        if (!hash_equals($order['access_key'], $this->request->query('key'))) {
            throw new NotFound();
        }

        return $this->show('shop/thanks', ['title' => 'Thank you', 'order' => $order]);
    }

    /**
     * @param array<string, mixed> $form
     * @param array<string, string> $errors
     */
    private function page(array $form, array $errors, int $status = 200): Response
    {
        $lines = $this->cart->lines();

        return $this->show('shop/checkout', [
            'title' => 'Checkout', 'lines' => $lines, 'totals' => Cart::totals($lines), 'form' => $form, 'errors' => $errors,
        ], $status);
    }

    /** @return array<string, string> what the shop already knows about a signed-in customer */
    private function known(): array
    {
        $form = ['payment_method' => 'card', 'ship_country' => 'DE'];
        $customer = Customers::current($this->session);
        if ($customer === null) {
            return $form;
        }
        $form['email'] = $customer['email'];
        $address = Customers::addresses((int) $customer['id'])[0] ?? null;
        if ($address === null) {
            return [...$form, 'ship_name' => $customer['first_name'] . ' ' . $customer['last_name']];
        }

        return [
            ...$form, 'ship_name' => $address['recipient'], 'ship_street' => $address['street'], 'ship_postcode' => $address['postcode'],
            'ship_city' => $address['city'], 'ship_country' => $address['country'], 'ship_phone' => (string) $address['phone'],
        ];
    }

    /**
     * @param array<string, string> $form
     * @return array<string, string> field => what would be right
     */
    private static function errors(array $form): array
    {
        $errors = [];
        if (filter_var($form['email'], FILTER_VALIDATE_EMAIL) === false) {
            $errors['email'] = 'Enter an e-mail address, such as name@example.com.';
        }
        foreach (['ship_name' => 'the name on the parcel', 'ship_street' => 'street and number', 'ship_postcode' => 'the postcode', 'ship_city' => 'the city'] as $field => $what) {
            if ($form[$field] === '') {
                $errors[$field] = "Enter $what.";
            }
        }
        if (strlen($form['ship_postcode']) > 16) {
            $errors['ship_postcode'] = 'A postcode has at most 16 characters.';
        }
        if (!isset(countries()[$form['ship_country']])) {
            $errors['ship_country'] = 'Choose a country from the list.';
        }
        if (!in_array($form['payment_method'], ['card', 'invoice'], true)) {
            $errors['payment_method'] = 'Choose how to pay.';
        }
        if ($form['payment_method'] === 'card' && !self::isCard($form['card_number'])) {
            $errors['card_number'] = 'This is not a card number. In this demo shop, 4242 4242 4242 4242 works.';
        }

        return $errors;
    }

    /** Length and check digit (Luhn). */
    private static function isCard(string $number): bool
    {
        $digits = str_replace(' ', '', $number);
        if (preg_match('/^\d{13,19}$/D', $digits) !== 1) {
            return false;
        }
        $sum = 0;
        foreach (str_split(strrev($digits)) as $place => $digit) {
            $value = (int) $digit * (1 + $place % 2);
            $sum += $value > 9 ? $value - 9 : $value;
        }

        return $sum % 10 === 0;
    }

    /**
     * Of the card only brand and last four digits are kept.
     *
     * @param array<string, string> $form
     * @return array<string, mixed>
     */
    private function columns(array $form): array
    {
        $card = str_replace(' ', '', $form['card_number']);
        $byCard = $form['payment_method'] === 'card';
        unset($form['card_number']);

        return [
            ...$form,
            'ship_phone' => mb_substr($form['ship_phone'], 0, 32) ?: null,
            'ship_city' => mb_substr($form['ship_city'], 0, 80),
            'email' => mb_strtolower($form['email']),
            'note' => $form['note'] ?: null,
            'customer_id' => Customers::current($this->session)['id'] ?? null,
            'status' => $byCard ? 'paid' : 'awaiting_payment',
            'card_brand' => $byCard ? (['4' => 'Visa', '5' => 'Mastercard', '3' => 'Amex'][$card[0]] ?? 'Card') : null,
            'card_last4' => $byCard ? substr($card, -4) : null,
            'ip' => $this->request->ip(),
        ];
    }
}
