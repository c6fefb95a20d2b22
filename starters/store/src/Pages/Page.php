<?php

declare(strict_types=1);

namespace Harbour\Pages;

use Harbour\Cart;
use Harbour\Catalogue;
use Harbour\Customers;
use Harbour\Platform;
use Harbour\Request;
use Harbour\Response;
use Harbour\Session;
use Harbour\View;

/** What every page of the shop has: the request, the session, the frame. */
abstract class Page
{
    protected readonly Cart $cart;

    public function __construct(protected readonly Request $request, protected readonly Session $session)
    {
        $this->cart = new Cart($session);
    }

    /** @param array<string, mixed> $values for the template; "title" is the page's */
    protected function show(string $template, array $values, int $status = 200): Response
    {
        $values += ['token' => $this->session->token(), 'errors' => [], 'form' => []];
        $body = View::bare($template, $values);

        return new Response(View::bare('layout', [...$this->frame(), ...$values, 'body' => $body]), $status);
    }

    protected function redirect(string $path, string $message = ''): Response
    {
        if ($message !== '') {
            $this->session->say($message);
        }

        return Response::redirect($path);
    }

    /** @return array<string, mixed> */
    private function frame(): array
    {
        return [
            'message' => $this->session->takeMessage(),
            'categories' => Catalogue::categories(),
            'customer' => Customers::current($this->session),
            'cartCount' => $this->cart->count(),
            'path' => $this->request->path,
            'query' => $this->request->query('q'),
            'ribbon' => Platform::isProduction() ? null : ['branch' => Platform::branch(), 'type' => Platform::type()],
        ];
    }
}
