<?php

declare(strict_types=1);

namespace Harbour;

/** What the environment tells the store: its name, its services, its secrets. Nothing else reads PLATFORM_*. */
final class Platform
{
    /**
     * The first entry of a relationship: host, port, username, password, path.
     *
     * @return array<string, mixed>
     */
    public static function relationship(string $name): array
    {
        $encoded = (string) getenv('PLATFORM_RELATIONSHIPS');
        $all = json_decode((string) base64_decode($encoded, true), true);
        if (!is_array($all) || !isset($all[$name][0])) {
            throw new Unavailable("The relationship \"$name\" is missing: PLATFORM_RELATIONSHIPS does not name it.");
        }

        return $all[$name][0];
    }

    public static function branch(): string
    {
        return (string) getenv('PLATFORM_BRANCH') ?: 'local';
    }

    public static function type(): string
    {
        return (string) getenv('PLATFORM_ENVIRONMENT_TYPE') ?: 'development';
    }

    public static function isProduction(): bool
    {
        return self::type() === 'production';
    }

    public static function smtpHost(): string
    {
        return (string) getenv('PLATFORM_SMTP_HOST');
    }

    /** Stable per project; signs the form tokens. */
    public static function secret(): string
    {
        return (string) getenv('PLATFORM_PROJECT_ENTROPY') ?: hash('sha256', STORE_ROOT . php_uname('n'));
    }

    /** Changes with every build, so that browsers may keep style sheets for long. */
    public static function version(): string
    {
        $tree = (string) getenv('PLATFORM_TREE_ID');

        return $tree !== '' ? substr($tree, 0, 8) : (string) filemtime(STORE_ROOT . '/public/assets/store.css');
    }
}
