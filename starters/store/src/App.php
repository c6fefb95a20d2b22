<?php

declare(strict_types=1);

namespace Harbour;

use Harbour\Pages\Account;
use Harbour\Pages\Admin;
use Harbour\Pages\Checkout;
use Harbour\Pages\Shop;

/** Finds the page for a request, keeps strangers' forms out, and turns what went wrong into an honest answer. */
final class App
{
    private const ROUTES = [
        'GET /' => [Shop::class, 'home'],
        'GET /health' => [Health::class, 'show'],
        'GET /sitemap.xml' => [Shop::class, 'sitemap'],
        'GET /search' => [Shop::class, 'search'],
        'GET /c/{slug}' => [Shop::class, 'category'],
        'GET /p/{slug}' => [Shop::class, 'product'],
        'POST /newsletter' => [Shop::class, 'subscribe'],
        'GET /cart' => [Checkout::class, 'cart'],
        'POST /cart/add' => [Checkout::class, 'add'],
        'POST /cart' => [Checkout::class, 'update'],
        'GET /checkout' => [Checkout::class, 'form'],
        'POST /checkout' => [Checkout::class, 'place'],
        'GET /thanks/{number}' => [Checkout::class, 'thanks'],
        'GET /account' => [Account::class, 'overview'],
        'GET /account/sign-in' => [Account::class, 'signInForm'],
        'POST /account/sign-in' => [Account::class, 'signIn'],
        'GET /account/register' => [Account::class, 'registerForm'],
        'POST /account/register' => [Account::class, 'register'],
        'POST /account/sign-out' => [Account::class, 'signOut'],
        'POST /account/profile' => [Account::class, 'saveProfile'],
        'GET /account/orders/{number}' => [Account::class, 'order'],
        'POST /account/addresses' => [Account::class, 'saveAddress'],
        'POST /account/addresses/remove' => [Account::class, 'removeAddress'],
        'GET /admin' => [Admin::class, 'overview'],
        'GET /admin/sign-in' => [Admin::class, 'signInForm'],
        'POST /admin/sign-in' => [Admin::class, 'signIn'],
        'POST /admin/sign-out' => [Admin::class, 'signOut'],
        'GET /admin/orders' => [Admin::class, 'orders'],
        'GET /admin/orders/{number}' => [Admin::class, 'order'],
        'POST /admin/orders/{number}' => [Admin::class, 'moveOrder'],
        'GET /admin/customers' => [Admin::class, 'customers'],
        'GET /admin/customers/{id}' => [Admin::class, 'customer'],
        'GET /admin/products' => [Admin::class, 'products'],
        'GET /admin/products/{id}' => [Admin::class, 'product'],
        'POST /admin/products/{id}' => [Admin::class, 'saveProduct'],
    ];

    private readonly Request $request;

    public function __construct()
    {
        $this->request = new Request();
    }

    public function answer(): void
    {
        try {
            $response = $this->dispatch();
        } catch (NotFound) {
            $response = $this->problem(404, 'This page does not exist', 'It may have moved. The search or the catalogue will bring you back.');
        } catch (Unavailable $error) {
            error_log($error->getMessage());
            $response = $this->problem(503, 'The shop is taking a short break', 'Its database or cache does not answer right now. Please try again in a minute.');
        } catch (\Throwable $error) {
            error_log((string) $error);
            $response = $this->problem(500, 'This page could not be made', 'The mistake is ours and has been written to the log. Nothing was ordered or changed.');
        }
        $response->send();
    }

    private function dispatch(): Response
    {
        [$class, $method, $argument] = $this->route();
        if ($class === Health::class) {
            return Health::show();
        }
        $session = new Session($this->request);
        if ($this->request->method === 'POST' && !hash_equals($session->token(), $this->request->post('token'))) {
            return $this->problem(403, 'This form is too old', 'Go back, reload the page and send the form again. Nothing was changed.');
        }
        $page = new $class($this->request, $session);
        $response = $argument === null ? $page->$method() : $page->$method($argument);
        $session->save();

        return $response;
    }

    /** @return array{class-string, string, ?string} */
    private function route(): array
    {
        $method = $this->request->method === 'HEAD' ? 'GET' : $this->request->method;
        foreach (self::ROUTES as $pattern => [$class, $action]) {
            [$verb, $path] = explode(' ', $pattern, 2);
            $expression = '#^' . preg_replace('/\\\\\{\w+\\\\\}/', '([A-Za-z0-9-]{1,80})', preg_quote($path, '#')) . '$#D';
            if ($verb === $method && preg_match($expression, $this->request->path, $match) === 1) {
                return [$class, $action, $match[1] ?? null];
            }
        }
        throw new NotFound();
    }

    /** A page without session or database, since one of them may be the reason for it. */
    private function problem(int $status, string $title, string $text): Response
    {
        return new Response(View::bare('problem', ['status' => $status, 'title' => $title, 'text' => $text]), $status);
    }
}
