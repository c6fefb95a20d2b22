<?php

declare(strict_types=1);

namespace Harbour;

final class Response
{
    public function __construct(
        private readonly string $body,
        private readonly int $status = 200,
        private readonly string $type = 'text/html; charset=utf-8',
        private readonly ?string $location = null,
    ) {
    }

    /** @param string $path on this site; built by code, never taken from a visitor as it is */
    public static function redirect(string $path): self
    {
        return new self('', 303, location: $path);
    }

    public function send(): void
    {
        http_response_code($this->status);
        header_remove('X-Powered-By');
        header('Content-Type: ' . $this->type);
        header('Cache-Control: private, no-store');
        header('X-Content-Type-Options: nosniff');
        header('Referrer-Policy: same-origin');
        header("Content-Security-Policy: default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'");
        if ($this->location !== null) {
            header('Location: ' . $this->location);
        }
        echo $this->body;
    }
}
