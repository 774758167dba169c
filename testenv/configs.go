package testenv

const passwd = `root:x:0:0:root:/root:/bin/sh
nginx:x:101:101:nginx:/var/cache/nginx:/sbin/nologin
`

const group = `root:x:0:
nginx:x:101:
`

const nginxConf = `user nginx;
worker_processes 2;
pid /run/nginx.pid;
error_log stderr notice;
events {
    worker_connections 256;
}
http {
    include /etc/nginx/mime.types;
    access_log off;
    include /etc/nginx/conf.d/*.conf;
}
`

const defaultConf = `server {
    listen 80;
    location / {
        default_type text/plain;
        return 200 "hello from the image\n";
    }
}
`

// haproxyConf is for `haproxy -W -f /etc/haproxy/haproxy.cfg`.
const haproxyConf = `global
    maxconn 256
    stats socket /run/haproxy.sock
defaults
    mode http
    timeout connect 1m
    timeout client 1m
    timeout server 1m
frontend web
    bind :80
    http-request return status 200 content-type text/plain string "hello from the image\n"
`

// apacheModules are those of the image. The first two exclude each other.
var apacheModules = []string{"mpm_event", "mpm_prefork", "authz_core", "cgid"}

// apacheConf is for `apache2 -D FOREGROUND`; with -D prefork it has processes for threads,
// and with -D cgi the helper that starts CGI scripts.
const apacheConf = `ServerRoot /etc/apache2
ServerName localhost
PidFile /run/apache2.pid
DefaultRuntimeDir /run
ErrorLog /dev/stderr
Listen 80
User nginx
Group nginx
<IfDefine !prefork>
    LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
</IfDefine>
<IfDefine prefork>
    LoadModule mpm_prefork_module /usr/lib/apache2/modules/mod_mpm_prefork.so
</IfDefine>
<IfDefine cgi>
    LoadModule cgid_module /usr/lib/apache2/modules/mod_cgid.so
</IfDefine>
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
StartServers 2
DocumentRoot /www
ErrorDocument 404 "hello from the image"
ErrorDocument 403 "hello from the image"
`
