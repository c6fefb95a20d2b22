<?php

declare(strict_types=1);

namespace Harbour;

/** The request, read once and defensively: a list where a string belongs counts as empty. */
final class Request
{
    public readonly string $method;
    public readonly string $path;

    public function __construct()
    {
        $this->method = (string) ($_SERVER['REQUEST_METHOD'] ?? 'GET');
        $path = parse_url((string) ($_SERVER['REQUEST_URI'] ?? '/'), PHP_URL_PATH);
        $path = rawurldecode(is_string($path) ? $path : '/');
        $this->path = $path === '/' ? '/' : rtrim($path, '/');
    }

    public function query(string $name, string $default = ''): string
    {
        return self::text($_GET[$name] ?? null, $default);
    }

    public function page(): int
    {
        return max(1, min(100_000, (int) $this->query('page', '1')));
    }

    public function post(string $name, int $limit = 1000): string
    {
        return mb_substr(trim(self::text($_POST[$name] ?? null, '')), 0, $limit);
    }

    public function cookie(string $name): string
    {
        return self::text($_COOKIE[$name] ?? null, '');
    }

    public function isSecure(): bool
    {
        return ($_SERVER['HTTP_X_FORWARDED_PROTO'] ?? '') === 'https';
    }

    public function host(): string
    {
        return (string) ($_SERVER['HTTP_HOST'] ?? 'localhost');
    }

    /** The router sets X-Client-IP itself, so a visitor cannot choose it. */
    public function ip(): string
    {
        $ip = (string) ($_SERVER['HTTP_X_CLIENT_IP'] ?? $_SERVER['REMOTE_ADDR'] ?? '');

        return filter_var($ip, FILTER_VALIDATE_IP) !== false ? $ip : '';
    }

    private static function text(mixed $value, string $default): string
    {
        return is_string($value) && mb_check_encoding($value, 'UTF-8') ? str_replace("\0", '', $value) : $default;
    }
}
