import './app.css';
import { mount } from 'svelte';
import App from './app/App.svelte';
import { startRouter } from './app/router.svelte';
import { theme } from './app/theme.svelte';

theme.apply();
startRouter();
mount(App, { target: document.getElementById('app')! });
